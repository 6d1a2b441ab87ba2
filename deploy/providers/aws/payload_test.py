#!/usr/bin/env python3
"""The package in a bucket: put there once, read by its address only, gone with the run. S3 is emulated, and
stricter than the emulation (bucket_case.py)."""

import http.client
import os
import pathlib
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import aws_case  # noqa: E402
from aws_case import Case  # noqa: E402

BUCKET = "payload-of-the-tests"
NAME = "baiwan-1.0-aarch64.tar.gz"


class Payload(Case):
    def setUp(self):
        super().setUp()
        self.s3 = self.emulation.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)  # again is no error in us-east-1
        self.run_ = self.run_of("p", 1, bucket=BUCKET)
        self.file = pathlib.Path(self.run_.folder, NAME)
        self.file.write_bytes(b"package" * 1000)
        self.link = pathlib.Path(self.run_.folder, "address")
        self.key = f"baiwan/{self.run_.name}/{NAME}"

    def publish(self, **change):
        asked = {**self.run_.request, "file": str(self.file), "link": str(self.link), **change}
        return self.run_.call("publish", asked)

    def keys(self):
        return [o["Key"] for o in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def fetch(self, address):
        """As a host that has no keys, through the endpoint."""
        parts = urllib.parse.urlsplit(address)
        link = http.client.HTTPConnection("127.0.0.1", self.emulation.gateway_port, timeout=20)
        try:
            link.request("GET", f"{parts.path}?{parts.query}", headers={"Host": parts.netloc})
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def test_it_is_put_there_once_and_read_by_its_address_only(self):
        code, answer, _ = self.publish()
        self.assertEqual((code, answer["object"]), (0, f"s3://{BUCKET}/{self.key}"), answer)
        self.assertEqual(answer["valid_s"], 3600)
        address = self.link.read_text().strip()
        self.assertEqual(self.link.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.fetch(address), (200, self.file.read_bytes()))
        for wrong in (address.partition("?")[0], address.replace("aarch64", "x86_64"),
                      address.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")):  # fmt: skip
            self.assertEqual(self.fetch(wrong)[0], 403, wrong)
        self.emulation.bucket.refused.clear()
        before = self.s3.head_object(Bucket=BUCKET, Key=self.key)["LastModified"]
        self.assertNotIn("payload", [e["event"] for e in self.publish()[2]], "it is there already")
        self.file.write_bytes(b"another")
        self.assertIn("payload", [e["event"] for e in self.publish()[2]])
        self.assertEqual(self.fetch(self.link.read_text().strip()), (200, b"another"))
        self.assertGreaterEqual(self.s3.head_object(Bucket=BUCKET, Key=self.key)["LastModified"], before)
        self.assertEqual(self.emulation.bucket.refused, [])

    def test_down_takes_what_is_the_runs_and_nothing_else(self):
        others = [f"baiwan/{self.run_.name}-b/{NAME}", "photos/cat.jpg"]
        for key in others:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
            self.addCleanup(self.s3.delete_object, Bucket=BUCKET, Key=key)
        self.assertEqual(self.publish()[0], 0)
        self.assertEqual(self.keys(), sorted([*others, self.key]))
        only = {k: self.run_.request[k] for k in ("run", "state", "options")}
        self.assertEqual(self.run_.must("down", only)["removed"], [f"object s3://{BUCKET}/{self.key}"])
        self.assertEqual(self.keys(), sorted(others))
        self.assertEqual(self.run_.must("down", only)["removed"], [])
        self.assertEqual(self.emulation.bucket.refused, [])

    def test_a_bucket_that_hosts_cannot_reach_is_named_before_anything_is_made(self):
        self.assertEqual(self.run_.must("check")["missing"], [])
        self.s3.create_bucket(Bucket="far-away",
                              CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})  # fmt: skip
        self.addCleanup(self.s3.delete_bucket, Bucket="far-away")
        for name, why in (("far-away", "eu-west-1"), ("not-there-at-all", "NoSuchBucket")):
            self.run_.request["options"]["bucket"] = name
            (missing,) = self.run_.must("check")["missing"]
            self.assertEqual(missing["what"], "options.bucket")
            self.assertIn(why, missing["why"])
        self.run_.must("down")  # of a bucket that is not there

    def test_what_cannot_be_is_refused_with_its_field(self):
        for change, field in (
            ({"file": "relative"}, "file"), ({"file": self.run_.folder + "/none"}, "file"),
            ({"link": 7}, "link"),
            ({"link": self.run_.folder + "/none/address"}, "link"),
            ({"options": {k: v for k, v in self.run_.request["options"].items() if k != "bucket"}}, "bucket"),
        ):  # fmt: skip
            code, answer, _ = self.publish(**change)
            self.assertEqual(code, 2, (field, answer))
            self.assertIn(field, answer["error"])
        self.assertFalse(self.link.exists())


if __name__ == "__main__":
    sys.exit(aws_case.main())
