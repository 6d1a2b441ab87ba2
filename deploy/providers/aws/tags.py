"""What everything of a run carries from its creation on, and how it is found again.

Names, keys and values of tags are not secret: they show in bills and logs.
"""

RUN = "baiwan:run"
ROLE = "baiwan:role"
FLEET = "baiwan:fleet"  # the fresh id of one life of the run: which state folder made it
HOST = "baiwan:host"
ADDRESS = "baiwan:address"
SUBNET = "baiwan:subnet"
OUTSIDE = "baiwan:outside"
GENERATION = "baiwan:generation"


def of(run, role, **more):
    tags = {"Name": f"{run} {more.get(HOST, role)}", RUN: run, ROLE: role, **more}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specification(kinds, tags):
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]


def read(resource):
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def filter_of(run, role=None):
    found = [{"Name": f"tag:{RUN}", "Values": [run]}]
    return found + ([{"Name": f"tag:{ROLE}", "Values": [role]}] if role else [])
