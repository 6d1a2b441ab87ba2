"""A dead man's switch outside of the hosts: for each instance a one-time schedule of EventBridge Scheduler
that terminates it soon after its deadline, should its own switches fail. It ends with its instance's time,
or by `down`.

One for each instance: EC2 refuses to terminate any of several if it does not know one of them any more.
A schedule cannot carry tags, so its name says whose it is.
"""

import concurrent.futures
import datetime
import json

import inventory
from cloud import CallError, token_of
from errors import ProviderError
from progress import event

AFTER_S = 120  # the host's own switches come first
AT_A_TIME = 4
_GROUP = "default"
_RETRY = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 20}


def prefix_of(run):
    """No name of a run has a dot, so none is the beginning of another's."""
    return f"baiwan.{run}."


def ensure(cloud, request, fleet, all_listed):
    """One for every instance that lives, and no other. `all_listed`: whether every instance of the run can be
    seen already, so that a schedule without one is over."""
    found = inventory.instances(cloud, request.run)
    living = {prefix_of(request.run) + i["InstanceId"]: i for i in found
              if inventory.state(i) not in inventory.GONE}  # fmt: skip
    there = set(listed(cloud, request.run))
    new = sorted(set(living) - there)
    if new:
        event("schedules", "", f"{len(new)} instances will be terminated after their deadline")
    with concurrent.futures.ThreadPoolExecutor(max_workers=AT_A_TIME) as pool:
        list(pool.map(lambda name: _make(cloud, request, fleet, name, living[name]), new))
    for name in sorted(there - set(living)) if all_listed else []:
        _delete(cloud, name)


def _make(cloud, request, fleet, name, instance):
    role, now = request.options.scheduler_role, datetime.datetime.now(datetime.timezone.utc)
    # What is left counts from this request: one that was launched before may have had more.
    at = now + datetime.timedelta(seconds=request.deadline_s + AFTER_S)
    target = {
        "Arn": f"arn:{role.split(':')[1]}:scheduler:::aws-sdk:ec2:terminateInstances",
        "RoleArn": role,
        "Input": json.dumps({"InstanceIds": [instance["InstanceId"]]}),
        "RetryPolicy": _RETRY,
    }
    # Without it a schedule of the past stays until `down`, and does no harm.
    known = cloud.knows("scheduler", "CreateSchedule", "ActionAfterCompletion")
    then = {"ActionAfterCompletion": "DELETE"} if known else {}
    try:
        cloud.call(
            "CreateSchedule", "scheduler", Name=name, GroupName=_GROUP, Target=target,
            ClientToken=token_of(fleet, name), ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
            ScheduleExpressionTimezone="UTC", FlexibleTimeWindow={"Mode": "OFF"},
            Description=f"the end of an instance of the run {request.run}", **then,
        )  # fmt: skip
    except CallError as error:
        if error.code != "ConflictException":  # another command has made it meanwhile
            raise


def listed(cloud, run):
    """Their names."""
    found = cloud.pages("ListSchedules", "Schedules", service="scheduler", GroupName=_GROUP,
                        NamePrefix=prefix_of(run))  # fmt: skip
    return [s["Name"] for s in found]


def _delete(cloud, name):
    try:
        cloud.call("DeleteSchedule", "scheduler", Name=name, GroupName=_GROUP)
    except CallError as error:
        if error.code != "ResourceNotFoundException":
            raise


def remove(cloud, run):
    """Returns what was removed, in words; what is left is an error."""
    names = listed(cloud, run)
    for name in names:
        _delete(cloud, name)
    if left := listed(cloud, run) if names else []:
        raise ProviderError(f"left over: schedule {'; schedule '.join(left)}", command="down")
    return [f"schedule {name}" for name in names]
