"""What is missing here or in the account before a run: tools, settings, rights, quotas, image, type."""

import shutil

import inventory
import options as options_of
import owner
import schedules
import states
from cloud import CallError, Cloud, load_boto3
from errors import ProviderError, RequestError

DEBIAN = "136693071363"  # the account of the Debian project
_DEBIAN_WORDS = {"arm64": "arm64", "x86_64": "amd64"}
_TOOLS = {"ssh": "openssh-client", "ssh-keygen": "openssh-client"}
_STANDARD = "acdhimrtz"  # families that share one quota of processors
_ON_DEMAND_QUOTA, _SPOT_QUOTA = "L-1216C47A", "L-34B43A08"
_NO_VPC, _NO_SUBNET, _NO_GROUP = "vpc-" + "0" * 17, "subnet-" + "0" * 17, "sg-" + "0" * 17
# Asked as dry runs. Rights are looked at before things are, so that "not found" is a yes.
_RIGHTS = (
    ("CreateVpc", {"CidrBlock": "10.0.0.0/16"}),
    ("CreateSubnet", {"VpcId": _NO_VPC, "CidrBlock": "10.0.0.0/24"}),
    ("CreateInternetGateway", {}),
    ("AttachInternetGateway", {"VpcId": _NO_VPC, "InternetGatewayId": "igw-" + "0" * 17}),
    ("CreateRouteTable", {"VpcId": _NO_VPC}),
    ("CreateSecurityGroup", {"GroupName": "baiwan", "Description": "baiwan", "VpcId": _NO_VPC}),
    ("TerminateInstances", {"InstanceIds": ["i-" + "0" * 17]}),
    ("DeleteSubnet", {"SubnetId": _NO_SUBNET}),
    ("DeleteSecurityGroup", {"GroupId": _NO_GROUP}),
    ("DeleteVpc", {"VpcId": _NO_VPC}),
    ("DescribeInstances", {}),
    ("DescribeTags", {}),
)


def missing(request=None):
    """([{"what", "why", "package"}], facts of one host)."""
    found = [_entry(t, "not installed", p) for t, p in _TOOLS.items() if not shutil.which(t)]
    facts = {"shared": False, "memory_mb": 0, "disk_mb": 0, "cpus": 0, "open_files": 1 << 20}
    try:
        load_boto3()
    except ProviderError:
        return [*found, _entry("boto3", "not installed", "python3-boto3")], facts
    if request is None:
        return found, facts
    try:
        cloud = Cloud(request.options)
        cloud.call("GetCallerIdentity", "sts")
    except ProviderError as error:
        return [*found, _entry("credentials", str(error))], facts
    if states.seat() is None and (why := options_of.unreadable_ssh_config(request.options)):
        found.append(_entry("options.ssh_config", why))
    if request.outside and not request.options.operator_cidr:
        found.append(_entry("options.operator_cidr", "the addresses that may log in to control"))
    facts["disk_mb"] = request.options.disk_gb << 10

    def tried(what, look, *given):
        """What it found, or None: then why is told beside everything else."""
        try:
            return look(*given)
        except (RequestError, ProviderError) as error:
            found.append(_entry(what, str(error)))
            return None

    kind = tried("type", instance_type, cloud, request.options)
    chosen = tried("image", image, cloud, request.options)
    if kind:
        facts.update(memory_mb=kind["MemoryInfo"]["SizeInMiB"], cpus=kind["VCpuInfo"]["DefaultVCpus"])
        tried("zone", zone, cloud, request)
        found += tried("service quota", _quotas, cloud, request, facts["cpus"]) or []
    found += tried("rights", _rights, cloud, request, chosen if kind else None) or []
    found += tried("options.bucket", _bucket, cloud, request.options.bucket) or []
    found += tried("schedules", _schedules, cloud, request) or []
    found += tried("run", _owner, cloud, states.State(request.run, request.state)) or []
    return found, facts


def _entry(what, why, package=""):
    return {"what": what, "why": why, "package": package}


def _rights(cloud, request, chosen):
    """`chosen`: the image, or None where image or type is not known: then that right is not asked for."""
    wanted = list(_RIGHTS)
    if chosen:
        run = {"ImageId": chosen["ImageId"], "InstanceType": request.options.type, "MinCount": 1, "MaxCount": 1}
        wanted.append(("RunInstances", run))
    if request.options.placement_group:
        wanted.append(("CreatePlacementGroup", {"GroupName": "baiwan", "Strategy": "cluster"}))
    refused = [(operation, cloud.refused_dry(operation, **given)) for operation, given in wanted]
    return [_entry(f"the right to ec2:{operation}", why) for operation, why in refused if why]


def _owner(cloud, state):
    try:
        state.refuse_foreign()
        owner.refuse_others(cloud, state)
    except RequestError as error:
        return [_entry("run", str(error))]
    return []


def _bucket(cloud, name):
    """The endpoint of a network leads to buckets of its own region only."""
    if not name:
        return []
    try:
        region = cloud.call("GetBucketLocation", "s3", Bucket=name).get("LocationConstraint") or "us-east-1"
    except CallError as error:
        return [_entry("options.bucket", f"{name}: {error}")]
    if region == cloud.region:
        return []
    return [_entry("options.bucket", f"{name} is in {region}, and hosts in {cloud.region} cannot reach it")]


def _schedules(cloud, request):
    if not request.options.scheduler_role:
        return []
    try:
        schedules.listed(cloud, request.run)
    except CallError as error:
        return [_entry("the right to scheduler:ListSchedules", str(error))]
    return []


def _quotas(cloud, request, cpus):
    """Processors of the standard families, those of others that run in the account included."""
    code = _SPOT_QUOTA if request.options.spot else _ON_DEMAND_QUOTA
    if request.options.type[0] not in _STANDARD:
        return []
    try:
        answer = cloud.call("GetServiceQuota", "service-quotas", ServiceCode="ec2", QuotaCode=code)
    except CallError as error:
        return [_entry("service quota", f"it cannot be read: {error}")]
    limit = answer["Quota"]["Value"]
    need, used = len(request.hosts) * cpus, _used(cloud, request)
    if used + need <= limit:
        return []
    text = f"{len(request.hosts)} hosts need {need} processors, {used} are in use, the quota is {limit:g}"
    return [_entry("service quota", f"{text}; ask for more of {code} in Service Quotas")]


def _used(cloud, request):
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    reservations = cloud.pages("DescribeInstances", "Reservations", Filters=states)
    ours = {i["InstanceId"] for i in inventory.instances(cloud, request.run)}
    used = 0
    for instance in (i for r in reservations for i in r["Instances"]):
        same = (instance.get("InstanceLifecycle") == "spot") == request.options.spot
        if same and instance["InstanceType"][0] in _STANDARD and instance["InstanceId"] not in ours:
            cpu = instance.get("CpuOptions", {})
            used += cpu.get("CoreCount", 1) * cpu.get("ThreadsPerCore", 1)
    return used


# --- image, type and zone: also before an `up` ----------------------------------------------------


def instance_type(cloud, options):
    try:
        found = cloud.call("DescribeInstanceTypes", InstanceTypes=[options.type])["InstanceTypes"]
    except CallError as error:
        if "InvalidInstanceType" not in error.code:
            raise
        found = []
    if not found:
        raise RequestError(f"options.type: there is no {options.type} in {cloud.region}")
    offered = found[0]["ProcessorInfo"]["SupportedArchitectures"]
    if options.architecture not in offered:
        is_text = " and ".join(offered)
        raise RequestError(f"options.type: {options.type} is {is_text}, not {options.architecture}")
    return found[0]


def zone(cloud, request):
    """The one for all subnets: a zone need not offer every type, and EC2 does not look when it chooses."""
    options = request.options
    if there := inventory.listed(cloud, inventory.SUBNET, request.run):
        return there[0]["AvailabilityZone"]
    filters = [{"Name": "instance-type", "Values": [options.type]}]
    found = cloud.pages("DescribeInstanceTypeOfferings", "InstanceTypeOfferings",
                        LocationType="availability-zone", Filters=filters)  # fmt: skip
    offered = sorted(o["Location"] for o in found)
    # Others, such as local zones, have longer names: they are for who asks for one.
    usual = [name for name in offered if name[:-1] == cloud.region]
    if not usual and not options.zone:
        raise RequestError(f"options.type: no zone of {cloud.region} offers {options.type}")
    if options.zone and options.zone not in offered:
        where = ", ".join(offered) or "nowhere"
        raise RequestError(f"options.zone: {options.zone} has no {options.type}, which is in {where}")
    return options.zone or usual[0]


def image(cloud, options):
    try:
        if options.image:
            which = {"ImageIds": [options.image]}
        else:
            name = f"debian-12-{_DEBIAN_WORDS[options.architecture]}-*"
            which = {"Owners": [DEBIAN], "Filters": [{"Name": "name", "Values": [name]}]}
        found = cloud.pages("DescribeImages", "Images", **which)
    except CallError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = []
    good = [i for i in found if i.get("State", "available") == "available"]
    if not good:
        wanted = options.image or "Debian 12"
        raise RequestError(f"options.image: there is no {wanted} in {cloud.region}")
    newest = max(good, key=lambda i: i.get("CreationDate", ""))
    if newest.get("Architecture") != options.architecture:
        what = f"{newest['ImageId']} is {newest.get('Architecture')}"
        raise RequestError(f"options.image: {what}, not {options.architecture}")
    return newest
