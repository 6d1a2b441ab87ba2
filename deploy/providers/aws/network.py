"""The network of a run: one VPC with up to four subnets, the way out for those with an `outside` host,
the firewalls. Everything is found by its tags first and made only where it is missing, so that this
may be done again and again, also after an interruption at any point.

  outside ── gateway ── route table "outside" ── subnets with an outside host
                        route table "inside"  ── the others: no way out, but S3 by an endpoint if wanted
  group "members": everything among members, nothing else, neither way
  group "outside": ssh in from the operator's addresses; the way out is open
"""

import ipaddress
import json
import time

import inventory
import tags
from cloud import CallError, LostAnswer, token_of
from errors import ProviderError, RequestError
from progress import event, wait_until

LOOK_AGAIN = 3  # after a create whose answer was lost
LOST_PAUSE_S = 2
AVAILABLE_LIMIT_S = 60
SEEN_LIMIT_S = 30
ANYWHERE = "0.0.0.0/0"


class Network:
    def __init__(self, cloud, request, fleet, zone):
        self._cloud, self._request, self._fleet = cloud, request, fleet
        self._zone = zone  # all in one: no traffic between zones is paid
        self.vpc = ""
        self.subnets, self.groups = {}, {}
        self.placement_group = ""

    def _ensure(self, kind, role, **parameters):
        """The one of this kind and role, made if it is missing."""
        named = tags.of(self._request.run, role, **{tags.FLEET: self._fleet})
        specification = tags.specification([kind.name], named)
        token = token_of(self._fleet, kind.name, role, self.vpc)
        for _ in range(LOOK_AGAIN):
            if found := inventory.listed(self._cloud, kind, self._request.run, role):
                return found[0]
            try:
                made = self._cloud.create(kind.made, token, TagSpecifications=specification, **parameters)
                return made[kind.made_field]
            except LostAnswer as error:
                lost = error
                time.sleep(LOST_PAUSE_S)
        raise lost

    def ensure(self):
        request = self._request
        event("network", "", f"{request.vpc} with {len(request.subnets)} subnets")
        self._ensure_vpc()
        self._ensure_subnets()
        self._ensure_routes()
        self._ensure_groups()
        if request.options.placement_group:
            self._ensure_placement_group()
        return self

    def _ensure_vpc(self):
        vpc = self._ensure(inventory.VPC, "vpc", CidrBlock=str(self._request.vpc))
        if vpc["CidrBlock"] != str(self._request.vpc):
            raise RequestError(f"network: the run has {vpc['CidrBlock']}; take it down first")
        self.vpc = vpc["VpcId"]
        self._wait_for("DescribeVpcs", "Vpcs", VpcIds=[self.vpc])

    def _wait_for(self, operation, field, **which):
        def available():
            try:
                found = self._cloud.call(operation, **which)[field]
            except CallError as error:  # made, but not yet to be seen everywhere
                if error.code.endswith(".NotFound"):
                    return False
                raise
            return all(f.get("State", "available") == "available" for f in found)

        wait_until(available, AVAILABLE_LIMIT_S, f"{operation} {which}")

    def _ensure_subnets(self):
        for name, block in sorted(self._request.subnets.items()):
            subnet = self._ensure(inventory.SUBNET, f"subnet-{name}", VpcId=self.vpc,
                                  CidrBlock=str(block), AvailabilityZone=self._zone)  # fmt: skip
            if subnet["CidrBlock"] != str(block):
                raise RequestError(f"network: {name} is {subnet['CidrBlock']}; take it down first")
            self.subnets[name] = subnet["SubnetId"]
        self._wait_for("DescribeSubnets", "Subnets", SubnetIds=list(self.subnets.values()))

    # --- routes -----------------------------------------------------------------------------------

    def _ensure_routes(self):
        open_subnets = {h.subnet for h in self._request.outside}
        inside = self._table("inside")
        self._associate(inside, [n for n in self.subnets if n not in open_subnets])
        if open_subnets:
            gateway = self._ensure_gateway()
            outside = self._table("outside")
            self._route_out(outside, gateway)
            self._associate(outside, open_subnets)
        if self._request.options.bucket:
            self._ensure_endpoint([inside["RouteTableId"]])

    def _table(self, role):
        return self._ensure(inventory.ROUTES, f"routes-{role}", VpcId=self.vpc)

    def _associate(self, table, names):
        have = {a.get("SubnetId") for a in table.get("Associations", [])}
        for name in sorted(names):
            if self.subnets[name] not in have:
                self._unless("Resource.AlreadyAssociated", "AssociateRouteTable",
                             RouteTableId=table["RouteTableId"], SubnetId=self.subnets[name])  # fmt: skip

    def _ensure_gateway(self):
        gateway = self._ensure(inventory.GATEWAY, "gateway")
        identity = gateway["InternetGatewayId"]
        if not any(a["VpcId"] == self.vpc for a in gateway.get("Attachments", [])):
            self._unless("Resource.AlreadyAssociated", "AttachInternetGateway",
                         InternetGatewayId=identity, VpcId=self.vpc)  # fmt: skip
        return identity

    def _unless(self, done, operation, **parameters):
        """`done`: what a repeated call is told when it has happened already. What was just made is not at
        once to be seen everywhere."""
        end = time.monotonic() + SEEN_LIMIT_S
        while True:
            try:
                return self._cloud.call(operation, **parameters)
            except CallError as error:
                if error.code == done:
                    return None
                if not error.code.endswith(".NotFound") or time.monotonic() > end:
                    raise
            time.sleep(1)

    def _route_out(self, table, gateway):
        if not any(r.get("DestinationCidrBlock") == ANYWHERE for r in table.get("Routes", [])):
            self._unless("RouteAlreadyExists", "CreateRoute", RouteTableId=table["RouteTableId"],
                         GatewayId=gateway, DestinationCidrBlock=ANYWHERE)  # fmt: skip

    def _ensure_endpoint(self, tables):
        bucket = f"arn:aws:s3:::{self._request.options.bucket}"
        policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                                 "Resource": f"{bucket}/*"}]}  # fmt: skip
        self._ensure(inventory.ENDPOINT, "payload", VpcEndpointType="Gateway", VpcId=self.vpc,
                     ServiceName=self._s3(), RouteTableIds=tables,
                     PolicyDocument=json.dumps(policy))  # fmt: skip

    def _s3(self):
        return f"com.amazonaws.{self._cloud.region}.s3"

    # --- firewalls --------------------------------------------------------------------------------

    def _ensure_groups(self):
        members = self._group("members", "all hosts of the run, among themselves")
        within = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": members["GroupId"]}]}
        leaving = [within]
        if self._request.options.bucket:
            leaving.append({**_tcp(443), "PrefixListIds": [{"PrefixListId": self._s3_prefixes()}]})
        self._rules(members, [within], leaving)
        if self._request.outside:
            operator = str(ipaddress.IPv4Network(self._request.options.operator_cidr))  # EC2 wants the /32 too
            door = self._group("outside", "ssh from the operator, and the way out")
            self._rules(door, [{**_tcp(22), "IpRanges": [{"CidrIp": operator}]}],
                        [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE}]}])  # fmt: skip

    def _group(self, role, text):
        """What was made answers with its id only, so it is looked up for its rules."""
        name = f"baiwan-{self._request.run}-{role}"
        group = self._ensure(inventory.GROUP, f"group-{role}", GroupName=name, Description=text,
                             VpcId=self.vpc)  # fmt: skip
        identity = group if isinstance(group, str) else group["GroupId"]
        self._wait_for("DescribeSecurityGroups", "SecurityGroups", GroupIds=[identity])
        self.groups[role] = identity
        return self._cloud.call("DescribeSecurityGroups", GroupIds=[identity])["SecurityGroups"][0]

    def _rules(self, group, incoming, outgoing):
        """Exactly these rules: what is more (the open way out of a new group) is taken away."""
        for have, want, direction in (
            (group.get("IpPermissions", []), incoming, "Ingress"),
            (group.get("IpPermissionsEgress", []), outgoing, "Egress"),
        ):
            have, want = _split(have), _split(want)
            missing = [rule for key, rule in want.items() if key not in have]
            extra = [rule for key, rule in have.items() if key not in want]
            if missing:
                self._change(f"AuthorizeSecurityGroup{direction}", group, missing, "Duplicate")
            if extra:
                self._change(f"RevokeSecurityGroup{direction}", group, extra, "NotFound")

    def _change(self, operation, group, rules, harmless):
        self._unless(f"InvalidPermission.{harmless}", operation, GroupId=group["GroupId"],
                     IpPermissions=rules)  # fmt: skip

    def _s3_prefixes(self):
        filters = [{"Name": "prefix-list-name", "Values": [self._s3()]}]
        found = self._cloud.pages("DescribeManagedPrefixLists", "PrefixLists", Filters=filters)
        if not found:
            raise ProviderError(f"no prefix list of {self._s3()}", command="ec2 DescribeManagedPrefixLists")
        return found[0]["PrefixListId"]

    def _ensure_placement_group(self):
        name = f"baiwan-{self._request.run}-{self._fleet}"
        self._ensure(inventory.PLACEMENT, "placement", GroupName=name, Strategy="cluster")
        self.placement_group = name


def _tcp(port):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}


def _split(rules):
    """{what identifies it: a rule with one peer}."""
    found = {}
    for rule in rules:
        ports = {k: rule[k] for k in ("FromPort", "ToPort") if k in rule and rule["IpProtocol"] != "-1"}
        base = {"IpProtocol": rule["IpProtocol"], **ports}
        for kind, field in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"),
                            ("UserIdGroupPairs", "GroupId"), ("PrefixListIds", "PrefixListId")):  # fmt: skip
            for peer in rule.get(kind, []):
                found[json.dumps([base, kind, peer[field]])] = {**base, kind: [{field: peer[field]}]}
    return found
