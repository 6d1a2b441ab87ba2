"""The package in a bucket, as one more source for the hosts of a run: they read it through the gateway
endpoint, by an address that is good for a while and for this one object.

Everything of a run is under a prefix of its own, by which `down` finds it. Who has the address may read
the object: it goes to a file of its owner's only, and into no answer and no log.
"""

import base64
import hashlib
import os

from cloud import CallError
from errors import ProviderError, RequestError
from progress import event

MAX_BYTES = 1 << 30  # it is read whole
MAX_VALID_S = 7 * 24 * 3600  # the most that S3 takes
MAX_PAGES = 100  # of 1,000 objects
_NOT_THERE = ("404", "NoSuchKey", "NotFound", "403")  # 403: it may not be asked whether it is there


def prefix_of(run):
    return f"baiwan/{run}/"


def publish(cloud, request, path, link):
    """Puts the file there unless it is, and writes its address to `link`. Returns the answer."""
    bucket = request.options.bucket
    if not bucket:
        raise RequestError("options.bucket: there is none to put the file into")
    data = _read(path)
    key = prefix_of(request.run) + os.path.basename(path)
    digest = hashlib.sha256(data)
    if _checksum_there(cloud, bucket, key) != digest.hexdigest():
        event("payload", "", f"{len(data)} bytes to s3://{bucket}/{key}")
        checked = base64.b64encode(digest.digest()).decode()
        cloud.call("PutObject", "s3", Bucket=bucket, Key=key, Body=data, ChecksumSHA256=checked,
                   Metadata={"sha256": digest.hexdigest()})  # fmt: skip
    valid_s = min(request.deadline_s, MAX_VALID_S)
    _write(link, cloud.address_of(bucket, key, valid_s))
    return {"run": request.run, "object": f"s3://{bucket}/{key}", "valid_s": valid_s}


def _read(path):
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise RequestError(f"file: {path} is over {MAX_BYTES >> 20} MiB")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise RequestError(f"file: {error}") from None


def _checksum_there(cloud, bucket, key):
    try:
        return cloud.call("HeadObject", "s3", Bucket=bucket, Key=key)["Metadata"].get("sha256")
    except CallError as error:
        if error.code not in _NOT_THERE:
            raise
        return None


def _write(link, address):
    try:
        if os.path.lexists(link):
            os.unlink(link)
        fd = os.open(link, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(address + "\n")
    except OSError as error:
        raise RequestError(f"link: {error}") from None


def remove(cloud, bucket, run):
    """What is under the run's prefix; returns it in words. A bucket that is not there has nothing."""
    removed = []
    for _ in range(MAX_PAGES):
        try:
            page = cloud.call("ListObjectsV2", "s3", Bucket=bucket, Prefix=prefix_of(run))
        except CallError as error:
            if error.code == "NoSuchBucket":
                return removed
            raise
        keys = [found["Key"] for found in page.get("Contents", [])]
        if not keys:
            return removed
        listed = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = cloud.call("DeleteObjects", "s3", Bucket=bucket, Delete=listed)
        if kept := answer.get("Errors"):
            text = f"s3://{bucket}/{kept[0].get('Key')}: {kept[0].get('Code')} {kept[0].get('Message', '')}"
            raise ProviderError(f"left over: {text}", command="s3 DeleteObjects")
        for key in keys:
            event("removed", "", f"object s3://{bucket}/{key}")
        removed += [f"object s3://{bucket}/{key}" for key in keys]
    text = f"over {MAX_PAGES} pages of objects in s3://{bucket}/{prefix_of(run)}"
    raise ProviderError(text, command="s3 ListObjectsV2")
