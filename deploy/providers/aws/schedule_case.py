"""What EventBridge Scheduler refuses and moto lets pass, and what a schedule of a run must be: one that
ends an instance of this run, once, and goes away."""

import datetime
import json
import re
import urllib.parse

_NAME = re.compile(r"baiwan\.([a-z0-9-]{1,20})\.(i-[0-9a-f]{17})")
_ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")
_LONGEST = datetime.timedelta(days=7, minutes=10)


def _action_of(method):
    return {"POST": "CreateSchedule", "DELETE": "DeleteSchedule"}.get(method, "ListSchedules")


def rights_of(method, _):
    passes = ["iam:PassRole"] if method == "POST" else []
    return [f"scheduler:{_action_of(method)}", *passes]


class Schedules:
    """`forward`: as Emulation's; `ec2`: moto's own."""

    def __init__(self, forward, ec2):
        self._forward, self._ec2 = forward, ec2
        self.denied = set()  # actions
        self.then = "DELETE"  # what is to become of one that is over
        self.actions = []
        self.refused = []

    def answer(self, method, target, headers, body):
        """(status, headers, bytes)"""
        path, _, query = target.partition("?")
        name = urllib.parse.unquote(path).removeprefix("/schedules").lstrip("/")
        action = _action_of(method)
        self.actions.append(action)
        if action in self.denied:
            text = f"User is not authorized to perform: scheduler:{action}"
            return self._error(403, "AccessDeniedException", text)
        parameters = dict(urllib.parse.parse_qsl(query))
        document = json.loads(body) if method == "POST" else parameters
        why = getattr(self, f"_{action}")(name, document)
        if why:
            self.refused.append((action, why))
            return self._error(400, "ValidationException", why)
        passed = {k: v for k, v in headers.items() if k.lower() != "host"}
        status, given, data = self._forward(method, target, body, passed)
        kept = ("content-type", "x-amzn-errortype")
        return status, {k: v for k, v in given.items() if k.lower() in kept}, data

    @staticmethod
    def _error(status, code, text):
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        return status, headers, json.dumps({"Message": text, "message": text}).encode()

    def _CreateSchedule(self, name, asked):  # noqa: N802: named after the action
        match = _NAME.fullmatch(name)
        if not match or not asked.get("ClientToken"):
            return f"{name} is no name of a run's schedule, or there is no client token"
        if (asked.get("ActionAfterCompletion"), asked["FlexibleTimeWindow"]) != (self.then, {"Mode": "OFF"}):
            return "it would stay, or not come in time"
        target = asked["Target"]
        if target["Arn"] != "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances":
            return f"Provided Arn is not in correct format: {target['Arn']}"
        if not _ROLE.fullmatch(target["RoleArn"]):
            return "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        if json.loads(target["Input"]) != {"InstanceIds": [match.group(2)]}:
            return "it ends another instance than its name says"
        return self._of_the_run(*match.groups()) or self._when(asked)

    def _of_the_run(self, run, instance):
        tag = [{"Name": "tag:baiwan:run", "Values": [run]}]
        found = self._ec2.describe_instances(Filters=tag, InstanceIds=[instance])["Reservations"]
        return "" if found else f"{instance} is not of the run {run}"

    @staticmethod
    def _when(asked):
        match = re.fullmatch(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", asked["ScheduleExpression"])
        if not match or asked.get("ScheduleExpressionTimezone") != "UTC":
            return f"Invalid Schedule Expression {asked['ScheduleExpression']}."
        at = datetime.datetime.fromisoformat(match.group(1) + "+00:00")
        left = at - datetime.datetime.now(datetime.timezone.utc)
        return "" if datetime.timedelta(0) < left < _LONGEST else f"{at} is not within the time of a run"

    @staticmethod
    def _DeleteSchedule(name, asked):  # noqa: N802
        good = _NAME.fullmatch(name) and asked.get("groupName") == "default"
        return "" if good else f"{name} is not a run's"

    @staticmethod
    def _ListSchedules(_, asked):  # noqa: N802
        good = re.fullmatch(r"baiwan\.[a-z0-9-]{1,20}\.", asked.get("NamePrefix", ""))
        return "" if good else "more than a run's is listed"
