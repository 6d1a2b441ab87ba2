"""What is there of a run, by its tags."""

from dataclasses import dataclass

import tags

GONE = ("shutting-down", "terminated")  # of an instance: it will not come back


@dataclass(frozen=True)
class Kind:
    """A sort of thing in EC2: its name in tags, and how it is listed, called, made and removed."""

    name: str
    listed: str
    field: str
    identity: str
    made: str
    made_field: str
    removed: str


VPC = Kind("vpc", "DescribeVpcs", "Vpcs", "VpcId", "CreateVpc", "Vpc", "DeleteVpc")
SUBNET = Kind(
    "subnet", "DescribeSubnets", "Subnets", "SubnetId", "CreateSubnet", "Subnet", "DeleteSubnet"
)
ROUTES = Kind(
    "route-table", "DescribeRouteTables", "RouteTables", "RouteTableId", "CreateRouteTable",
    "RouteTable", "DeleteRouteTable",
)  # fmt: skip
GATEWAY = Kind(
    "internet-gateway", "DescribeInternetGateways", "InternetGateways", "InternetGatewayId",
    "CreateInternetGateway", "InternetGateway", "DeleteInternetGateway",
)  # fmt: skip
ENDPOINT = Kind(
    "vpc-endpoint", "DescribeVpcEndpoints", "VpcEndpoints", "VpcEndpointId", "CreateVpcEndpoint",
    "VpcEndpoint", "DeleteVpcEndpoints",
)  # fmt: skip
GROUP = Kind(
    "security-group", "DescribeSecurityGroups", "SecurityGroups", "GroupId", "CreateSecurityGroup",
    "GroupId", "DeleteSecurityGroup",
)  # fmt: skip
PLACEMENT = Kind(
    "placement-group", "DescribePlacementGroups", "PlacementGroups", "GroupName",
    "CreatePlacementGroup", "PlacementGroup", "DeletePlacementGroup",
)  # fmt: skip
# These come with the instances, and go with them unless something went wrong.
INTERFACE = Kind(
    "network-interface", "DescribeNetworkInterfaces", "NetworkInterfaces", "NetworkInterfaceId",
    "", "", "DeleteNetworkInterface",
)  # fmt: skip
VOLUME = Kind("volume", "DescribeVolumes", "Volumes", "VolumeId", "", "", "DeleteVolume")


def listed(cloud, kind, run, role=None):
    found = cloud.pages(kind.listed, kind.field, Filters=tags.filter_of(run, role))
    live = [f for f in found if _state(f) not in ("deleted", "deleting", "failed")]
    return sorted(live, key=lambda f: f[kind.identity])


def _state(thing):
    state = thing.get("State") or thing.get("Status") or ""
    return state.lower() if isinstance(state, str) else ""


def instances(cloud, run):
    """All that EC2 still knows, also those that have ended, the latest life of a host last."""
    reservations = cloud.pages("DescribeInstances", "Reservations", Filters=tags.filter_of(run))
    found = [i for reservation in reservations for i in reservation["Instances"]]
    return sorted(found, key=generation)


def generation(instance):
    text = tags.read(instance).get(tags.GENERATION, "")
    return int(text) if text.isdigit() else 0


def state(instance):
    return instance["State"]["Name"]


def by_host(found):
    """{host name: its instances}, the one that counts last: the latest, and one that lives before
    all that have ended."""
    hosts = {}
    for instance in sorted(found, key=lambda i: (state(i) not in GONE, generation(i))):
        hosts.setdefault(tags.read(instance).get(tags.HOST, ""), []).append(instance)
    return hosts
