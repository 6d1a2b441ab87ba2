"""Takes away what carries the run's tag, in the order in which EC2 lets go of it, and looks again.

Nothing is touched that has no tag of the run: what somebody else put into the run's network keeps it
from going away, and is told.
"""

import time

import inventory
import tags
from cloud import CallError, NoCredentials
from errors import ProviderError
from progress import event, wait_until

ENDED_LIMIT_S = 300
RELEASE_LIMIT_S = 180  # EC2 lets go of interfaces some time after their instances
PAUSE_S = 1.0
SETTLE_S = 2  # what was just made may not yet be listed
MAX_PER_CALL = 100
_NOT_YET = ("DependencyViolation", "InvalidPlacementGroup.InUse", "VolumeInUse",
            "InvalidNetworkInterface.InUse")  # fmt: skip
# In this order, once the instances are gone.
_ORDER = (inventory.ENDPOINT, inventory.INTERFACE, inventory.VOLUME, inventory.PLACEMENT,
          inventory.GROUP, inventory.SUBNET, inventory.ROUTES, inventory.GATEWAY, inventory.VPC)  # fmt: skip


class Teardown:
    def __init__(self, cloud, run):
        self._cloud, self._run = cloud, run
        self.removed = []

    def everything(self):
        """Returns what is left, in words."""
        quiet = 0
        for _ in range(10):
            before = len(self.removed)
            self._instances()
            for kind in _ORDER:
                self._kind(kind)
            quiet = quiet + 1 if len(self.removed) == before else 0
            if quiet:  # this look found nothing, after the settling of the one before
                break
            time.sleep(SETTLE_S)
        return self.left()

    def left(self):
        found = [f"instance {i['InstanceId']}" for i in self._living()]
        for kind in _ORDER:
            listed = inventory.listed(self._cloud, kind, self._run)
            found += [f"{kind.name} {thing[kind.identity]}" for thing in listed]
        known = {kind.name for kind in _ORDER} | {"instance", "spot-instances-request"}
        filters = [{"Name": "key", "Values": [tags.RUN]}, {"Name": "value", "Values": [self._run]}]
        for tag in self._cloud.pages("DescribeTags", "Tags", Filters=filters):
            if tag["ResourceType"] not in known:
                found.append(f"{tag['ResourceType']} {tag['ResourceId']}")
        return found

    def _living(self):
        found = inventory.instances(self._cloud, self._run)
        return [i for i in found if inventory.state(i) != "terminated"]

    # --- instances --------------------------------------------------------------------------------

    def _instances(self):
        self._spot_requests()
        names = [i["InstanceId"] for i in self._living()]
        if not names:
            return
        event("hosts", "", f"ending {len(names)} instances")
        for start in range(0, len(names), MAX_PER_CALL):
            self._cloud.call("TerminateInstances", InstanceIds=names[start : start + MAX_PER_CALL])

        def ended():
            return not [i for i in self._living() if i["InstanceId"] in names]

        wait_until(ended, ENDED_LIMIT_S, f"the end of {len(names)} instances", 3)
        self.removed += [f"instance {n}" for n in names]

    def _spot_requests(self):
        """A request that is still open would bring one more instance later."""
        found = self._cloud.pages("DescribeSpotInstanceRequests", "SpotInstanceRequests",
                                  Filters=tags.filter_of(self._run))  # fmt: skip
        names = [r["SpotInstanceRequestId"] for r in found if r["State"] in ("open", "active")]
        for start in range(0, len(names), MAX_PER_CALL):
            self._cloud.call("CancelSpotInstanceRequests",
                             SpotInstanceRequestIds=names[start : start + MAX_PER_CALL])  # fmt: skip

    # --- the rest -----------------------------------------------------------------------------------

    def _kind(self, kind):
        found = inventory.listed(self._cloud, kind, self._run)
        if kind is inventory.GROUP:
            for group in found:
                self._empty(group)
        if kind in (inventory.INTERFACE, inventory.VOLUME):
            what = f"the release of each {kind.name}"
            wait_until(lambda: self._released(kind), RELEASE_LIMIT_S, what, PAUSE_S)
            found = inventory.listed(self._cloud, kind, self._run)
        for thing in found:
            if kind is inventory.GATEWAY:
                self._detach(thing)
            if kind is inventory.ROUTES:
                self._disassociate(thing)
            self._remove(kind, thing[kind.identity])
        if found and kind is inventory.ENDPOINT:
            wait_until(lambda: not inventory.listed(self._cloud, kind, self._run),
                       RELEASE_LIMIT_S, "the end of the endpoint", PAUSE_S)  # fmt: skip

    def _released(self, kind):
        """None is still at an instance, with which it goes away. Which may be one that was seen late."""
        self._instances()
        things = inventory.listed(self._cloud, kind, self._run)
        return not [t for t in things if (t.get("Status") or t.get("State")) == "in-use"]

    def _empty(self, group):
        """Groups that name each other, or themselves, hold each other."""
        for direction, field in (("Ingress", "IpPermissions"), ("Egress", "IpPermissionsEgress")):
            naming = [r for r in group.get(field, []) if r.get("UserIdGroupPairs")]
            if naming:
                self._try(f"RevokeSecurityGroup{direction}", "InvalidPermission.NotFound",
                          GroupId=group["GroupId"], IpPermissions=naming)  # fmt: skip

    def _detach(self, gateway):
        for attached in gateway.get("Attachments", []):
            self._try("DetachInternetGateway", "Gateway.NotAttached", VpcId=attached["VpcId"],
                      InternetGatewayId=gateway["InternetGatewayId"])  # fmt: skip

    def _disassociate(self, table):
        for link in table.get("Associations", []):
            if not link.get("Main"):
                self._try("DisassociateRouteTable", "InvalidAssociationID.NotFound",
                          AssociationId=link["RouteTableAssociationId"])  # fmt: skip

    def _remove(self, kind, identity):
        if kind is inventory.ENDPOINT:
            which = {"VpcEndpointIds": [identity]}
        else:
            which = {kind.identity: identity}
        if self._try(kind.removed, "", **which):
            event("removed", "", f"{kind.name} {identity}")
            self.removed.append(f"{kind.name} {identity}")

    def _try(self, operation, harmless, **which):
        """Again while something still holds it. False when it was gone already."""
        end = time.monotonic() + RELEASE_LIMIT_S
        while True:
            try:
                answer = self._cloud.call(operation, **which)
                if refused := answer.get("Unsuccessful"):
                    text = refused[0].get("Error", {})
                    raise CallError(text.get("Code", ""), text.get("Message", ""), operation)
                return True
            except CallError as error:
                if error.code == harmless or "NotFound" in error.code or error.code.endswith("Unknown"):
                    return False
                if error.code not in _NOT_YET or time.monotonic() > end:
                    raise
                self._instances()  # one that was seen late
                time.sleep(PAUSE_S)


def _left_after(error, teardown):
    """What is left is to be told, and the reason even if that cannot be."""
    try:
        return teardown.left()
    except ProviderError:
        raise error from None


def take_down(cloud, run):
    """Returns what was removed; what is left is an error."""
    teardown = Teardown(cloud, run)
    try:
        left = teardown.everything()
    except ProviderError as error:
        if isinstance(error, NoCredentials) or not (left := _left_after(error, teardown)):
            raise
        raise ProviderError(f"{error}; left over: {'; '.join(left)}", command="down") from None
    if left:
        raise ProviderError("left over: " + "; ".join(left), command="down")
    return teardown.removed
