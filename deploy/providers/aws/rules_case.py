"""What EC2 refuses and moto lets pass. Looks at moto directly, behind the proxy's back."""

import base64
import ipaddress
import re
import threading
from xml.etree import ElementTree

WITH_TOKEN = ("RunInstances", "CreateRouteTable", "CreateVpcEndpoint")
WITHOUT_TAGS = ("CreateRoute",)
REGION = "us-east-1"


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.words = (400, code, text)


class Rules:
    def __init__(self, ec2):
        self._ec2 = ec2
        self._tokens, self._known_images, self._known_types = {}, {}, {}
        self._lock = threading.Lock()
        self.placements = {}  # name: the run; moto has none
        self.spots = {}  # request: the run; moto's are broken, as is its price history
        self.offered = [f"{REGION}-bos-1a", *(f"{REGION}{letter}" for letter in "abcdf")]  # zones, any type
        self.late = {}  # {host: how often its instance is left out of what is listed}
        self.refused = []  # (action, code): a provider that does all right causes none

    @property
    def ec2(self):
        return self._ec2

    def guarded(self, action, parameters, perform):
        """What `perform` answers, or (None, Refused)."""
        with self._lock:  # one at a time: what is looked at here must still hold when it is done
            try:
                return self._guarded(action, parameters, perform)
            except Refused as refused:
                self.refused.append((action, refused.words[1]))
                return None, refused

    def _guarded(self, action, parameters, perform):
        creates = action.startswith("Create") or action == "RunInstances"
        if creates and action not in WITHOUT_TAGS:
            self._tags(action, parameters)
        token = parameters.get("ClientToken")
        if action in WITH_TOKEN and not token:
            raise Refused("MissingParameter", f"{action} has no client token")
        if token:
            asked = {k: v for k, v in parameters.items() if not k.startswith("X-Amz")}
            if token in self._tokens:
                before, answer = self._tokens[token]
                if action == "RunInstances" and self._over(answer):
                    raise Refused("IdempotentInstanceTerminated", f"{token} was for one that has ended")
                if before != asked:
                    raise Refused("IdempotentParameterMismatch", f"{token} was for another {action}")
                return answer
        check = getattr(self, f"_{action}", None)
        own = check(parameters) if check else None  # some calls moto does not know at all
        answer = own or perform()
        if action == "DescribeInstances":
            answer = self._seen(answer)
        if token and answer[0] == 200:
            self._tokens[token] = asked, answer
        return answer

    def _over(self, answer):
        which = re.findall(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", answer[2])
        found = self._ec2.describe_instances(InstanceIds=[i.decode() for i in which])["Reservations"]
        return all(i["State"]["Name"] == "terminated" for r in found for i in r["Instances"])

    def _seen(self, answer):
        """Without the instances of hosts that are not yet to be seen."""
        root = ElementTree.fromstring(answer[2])
        for parent in root.findall("{*}reservationSet"):
            for one in list(parent):
                texts = {node.text for node in one.iter()}
                hidden = [h for h, looks in self.late.items() if looks and h in texts]
                for host in hidden:
                    self.late[host] -= 1
                    parent.remove(one)
        return (*answer[:2], ElementTree.tostring(root))

    @staticmethod
    def _tags(action, parameters):
        for index in range(1, 10):
            if f"TagSpecification.{index}.ResourceType" not in parameters:
                break
            keys = [v for k, v in parameters.items()
                    if re.fullmatch(rf"TagSpecification\.{index}\.Tag\.\d+\.Key", k)]  # fmt: skip
            if "baiwan:run" not in keys:
                raise Refused("Test.NoRunTag", f"{action} tags without the run")
        if index == 1:
            raise Refused("Test.NoTags", f"{action} creates without tags")

    # --- starting ---------------------------------------------------------------------------------

    def _RunInstances(self, given):  # noqa: N802: named after the action
        if given["ImageId"] not in self._images():
            raise Refused("InvalidAMIID.NotFound", given["ImageId"])
        if self._images()[given["ImageId"]] not in self._architectures(given["InstanceType"]):
            raise Refused("InvalidParameterValue", "the architectures differ")
        if given.get("MetadataOptions.HttpTokens") != "required":
            raise Refused("Test.IMDSv1", "the metadata is open")
        if given.get("InstanceInitiatedShutdownBehavior") != "terminate":
            raise Refused("Test.Stop", "a shutdown would leave the instance stopped, and paid")
        if len(base64.b64decode(given["UserData"])) > 16384:
            raise Refused("InvalidParameterValue", "user data is limited to 16384 bytes")
        nic = "NetworkInterface.1."
        address = given.get(nic + "PrivateIpAddress", "")
        subnet = self._ec2.describe_subnets(SubnetIds=[given[nic + "SubnetId"]])["Subnets"][0]
        if ipaddress.ip_address(address) not in ipaddress.ip_network(subnet["CidrBlock"]):
            raise Refused("InvalidParameterValue", f"{address} is not in the subnet")
        if not given.get(nic + "SecurityGroupId.1") or "SecurityGroupId.1" in given:
            raise Refused("InvalidParameterCombination", "groups belong to the interface")
        for instance in self._living():
            if instance["SubnetId"] == subnet["SubnetId"] and instance["PrivateIpAddress"] == address:
                raise Refused("InvalidIPAddress.InUse", f"{address} is in use")

        if subnet["AvailabilityZone"] not in self.offered:
            raise Refused("Unsupported", f"{given['InstanceType']} is not supported in the zone of the subnet")
        if given.get("InstanceMarketOptions.MarketType") == "spot":
            self.spots[f"sir-{len(self.spots):08x}"] = _run_of(given)

    def _images(self):
        if not self._known_images:
            found = self._ec2.describe_images()["Images"]
            self._known_images.update((i["ImageId"], i["Architecture"]) for i in found)
        return self._known_images

    def _architectures(self, name):
        if name not in self._known_types:
            (found,) = self._ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
            self._known_types[name] = found["ProcessorInfo"]["SupportedArchitectures"]
        return self._known_types[name]

    def _DescribeInstanceTypeOfferings(self, given):  # noqa: N802
        if given.get("LocationType") != "availability-zone" or given.get("Filter.1.Name") != "instance-type":
            raise Refused("Test.WholeRegion", "it says nothing of zones, or of every type")
        items = "".join(f"<item><location>{zone}</location></item>" for zone in self.offered)
        inner = f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"
        return _xml("DescribeInstanceTypeOfferings", inner)

    def _AuthorizeSecurityGroupIngress(self, given):  # noqa: N802
        for key, block in given.items():
            if key.endswith(".CidrIp") and "/" not in block:
                raise Refused("InvalidParameterValue", f"CIDR block {block} is malformed")

    def _CreateSubnet(self, given):  # noqa: N802
        self._ec2.describe_vpcs(VpcIds=[given["VpcId"]])

    # --- taking down ------------------------------------------------------------------------------

    def _living(self):
        alive = ["pending", "running", "shutting-down", "stopping", "stopped"]
        filters = [{"Name": "instance-state-name", "Values": alive}]
        pages = self._ec2.get_paginator("describe_instances").paginate(Filters=filters)
        return [i for r in pages.build_full_result()["Reservations"] for i in r["Instances"]]

    @staticmethod
    def _unless(held, what):
        if held:
            raise Refused("DependencyViolation", f"{what} still has {held[0]}")

    def _DeleteSubnet(self, given):  # noqa: N802
        which = given["SubnetId"]
        self._unless([i["InstanceId"] for i in self._living() if i.get("SubnetId") == which], which)

    def _DeleteSecurityGroup(self, given):  # noqa: N802
        which = given["GroupId"]
        for instance in self._living():
            groups = [g["GroupId"] for n in instance["NetworkInterfaces"] for g in n["Groups"]]
            self._unless([instance["InstanceId"]] if which in groups else [], which)
        for group in self._ec2.describe_security_groups()["SecurityGroups"]:
            rules = group["IpPermissions"] + group["IpPermissionsEgress"]
            named = {p["GroupId"] for r in rules for p in r["UserIdGroupPairs"]}
            if group["GroupId"] != which and which in named:
                raise Refused("DependencyViolation", f"{group['GroupId']} names {which}")

    def _DetachInternetGateway(self, given):  # noqa: N802
        vpc = given["VpcId"]
        inside = [i for i in self._living() if i.get("VpcId") == vpc]
        self._unless([i["InstanceId"] for i in inside if i.get("PublicIpAddress")], vpc)

    def _DeleteInternetGateway(self, given):  # noqa: N802
        which = given["InternetGatewayId"]
        found = self._ec2.describe_internet_gateways(InternetGatewayIds=[which])["InternetGateways"]
        self._unless([a["VpcId"] for a in found[0]["Attachments"]] if found else [], which)

    def _DeleteRouteTable(self, given):  # noqa: N802
        which = given["RouteTableId"]
        table = self._ec2.describe_route_tables(RouteTableIds=[which])["RouteTables"][0]
        self._unless([a.get("SubnetId", "main") for a in table["Associations"]], which)

    def _DeleteVpc(self, given):  # noqa: N802
        vpc = given["VpcId"]
        of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
        held = [s["SubnetId"] for s in self._ec2.describe_subnets(Filters=of_vpc)["Subnets"]]
        groups = self._ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
        held += [g["GroupId"] for g in groups if g["GroupName"] != "default"]
        tables = self._ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
        held += [t["RouteTableId"] for t in tables if not any(a.get("Main") for a in t["Associations"])]
        attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
        gateways = self._ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]
        held += [g["InternetGatewayId"] for g in gateways]
        ends = self._ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"]
        held += [e["VpcEndpointId"] for e in ends if e["State"] != "deleted"]
        self._unless(held, vpc)

    # --- placement groups -------------------------------------------------------------------------

    def _CreatePlacementGroup(self, given):  # noqa: N802
        name = given["GroupName"]
        if name in self.placements:
            raise Refused("InvalidPlacementGroup.Duplicate", name)
        self.placements[name] = _run_of(given)
        return _xml("CreatePlacementGroup", f"<placementGroup><groupName>{name}</groupName></placementGroup>")

    def _DescribePlacementGroups(self, given):  # noqa: N802
        run = given.get("Filter.1.Value.1")
        names = [n for n, r in self.placements.items() if r == run]
        items = "".join(f"<item><groupName>{n}</groupName><state>available</state></item>" for n in names)
        return _xml("DescribePlacementGroups", f"<placementGroupSet>{items}</placementGroupSet>")

    def _DeletePlacementGroup(self, given):  # noqa: N802
        name = given["GroupName"]
        if [i for i in self._living() if i.get("Placement", {}).get("GroupName") == name]:
            raise Refused("InvalidPlacementGroup.InUse", name)
        if self.placements.pop(name, None) is None:
            raise Refused("InvalidPlacementGroup.Unknown", name)
        return _xml("DeletePlacementGroup", "<return>true</return>")


    # --- spot -------------------------------------------------------------------------------------

    def _DescribeSpotInstanceRequests(self, given):  # noqa: N802
        ids = [i for i, r in self.spots.items() if r == given.get("Filter.1.Value.1")]
        field = "spotInstanceRequestId"
        items = "".join(f"<item><{field}>{i}</{field}><state>active</state></item>" for i in ids)
        inner = f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>"
        return _xml("DescribeSpotInstanceRequests", inner)

    def _CancelSpotInstanceRequests(self, given):  # noqa: N802
        for key, value in given.items():
            if key.startswith("SpotInstanceRequestId."):
                del self.spots[value]
        return _xml("CancelSpotInstanceRequests", "<spotInstanceRequestSet/>")

    def _DescribeSpotPriceHistory(self, _):  # noqa: N802
        item = "<item><spotPrice>0.25</spotPrice></item>"
        return _xml("DescribeSpotPriceHistory", f"<spotPriceHistorySet>{item}</spotPriceHistorySet>")


def _run_of(given):
    keys = [k for k, v in given.items() if v == "baiwan:run"]
    return given[keys[0].replace("Key", "Value")]


def _xml(action, inner):
    space = "http://ec2.amazonaws.com/doc/2016-11-15/"
    text = f'<{action}Response xmlns="{space}"><requestId>0</requestId>{inner}</{action}Response>'
    return 200, "text/xml", text.encode()
