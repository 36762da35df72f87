"""S3 and MinIO through boto3: bounded in time, verified after each write, and never half an object.

This module imports light; boto3 is loaded by the first store that is opened.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.header import decode_header, make_header
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core.errors import Code, RealmError
from ..core.http_status import code_of_http_status
from ..core.settings import Settings
from .atomic import atomic_file
from .objectstore import StoredObject

PART_SIZE = 16 << 20
"""Objects larger than this go up in parts of this size (larger ones where 10,000 parts would not do)."""

MAX_PARTS = 10_000
MAX_METADATA_BYTES = 2048
"""S3's limit on all user metadata of an object."""

ERROR_CODES: Mapping[str, tuple[Code, str | None]] = {
    "NoSuchKey": (Code.NOT_FOUND, None),
    "NoSuchBucket": (Code.NOT_FOUND, "create the bucket, or set create_bucket: true"),
    "NoSuchUpload": (Code.TRANSIENT_ERROR, None),
    "AccessDenied": (Code.PERMISSION_DENIED, "check the policy of the access key"),
    "AllAccessDisabled": (Code.PERMISSION_DENIED, None),
    "InvalidAccessKeyId": (Code.UNAUTHENTICATED, "check MIRROR_REALM_S3_ACCESS_KEY"),
    "SignatureDoesNotMatch": (Code.UNAUTHENTICATED, "check MIRROR_REALM_S3_SECRET_KEY"),
    "ExpiredToken": (Code.UNAUTHENTICATED, "the credentials have expired"),
    "RequestTimeTooSkewed": (Code.FAILED_PRECONDITION, "set this machine's clock"),
    "SlowDown": (Code.TRANSIENT_ERROR, None),
    "Throttling": (Code.TRANSIENT_ERROR, None),
    "ThrottlingException": (Code.TRANSIENT_ERROR, None),
    "RequestLimitExceeded": (Code.TRANSIENT_ERROR, None),
    "RequestTimeout": (Code.TRANSIENT_ERROR, None),
    "OperationAborted": (Code.TRANSIENT_ERROR, None),
    "ConditionalRequestConflict": (Code.TRANSIENT_ERROR, None),
    "ServiceUnavailable": (Code.UNAVAILABLE, None),
    "InternalError": (Code.DEPENDENCY_FAILURE, None),
    "BadDigest": (Code.DATA_CORRUPTED, "the bytes changed on the way; try again"),
    "XAmzContentSHA256Mismatch": (Code.DATA_CORRUPTED, "the bytes changed on the way; try again"),
    "PreconditionFailed": (Code.ALREADY_EXISTS, None),
    "EntityTooLarge": (Code.OUT_OF_RANGE, None),
    "QuotaExceeded": (Code.QUOTA_EXCEEDED, None),
    "XMinioStorageFull": (Code.RESOURCE_EXHAUSTED, "the object store is full"),
    "InvalidBucketName": (
        Code.INVALID_ARGUMENT,
        "bucket names are 3-63 lower-case letters, digits, dots and hyphens",
    ),
    "KeyTooLongError": (Code.INVALID_ARGUMENT, None),
}
"""The service's error code → ours, with what to do."""


def verdict_on(response: Mapping[str, Any]) -> tuple[Code, str | None, dict[str, Any]]:
    """(code, hint, details) for a ``ClientError.response``; unknown service codes go by their HTTP status."""
    service_code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    by_status = code_of_http_status(status) if status else Code.DEPENDENCY_FAILURE
    code, hint = ERROR_CODES.get(service_code, (by_status, None))
    return code, hint, {"service_code": service_code, "status": status}


class S3ObjectStore:
    """See :class:`.objectstore.ObjectStore`. Each object carries its sha256 as metadata, by which it is
    recognised."""

    kind = "s3"

    def __init__(
        self, client: Any, *, endpoint: str, create_buckets: bool = False, part_size: int = PART_SIZE
    ) -> None:
        self._client = client
        self._create_buckets = create_buckets
        self._part_size = part_size
        self.endpoint = endpoint

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        create_buckets: bool | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        attempts: int = 3,
        part_size: int = PART_SIZE,
    ) -> S3ObjectStore:
        """The store that the settings name; without an endpoint, AWS with boto3's own credentials chain.

        Missing buckets are created by default only on an endpoint of one's own. ``attempts`` bounds boto3's
        own retries.
        """
        endpoint = settings.s3_endpoint
        client = _client(
            endpoint,
            settings.s3_access_key,
            settings.s3_secret_key,
            settings.s3_region,
            connect_timeout,
            read_timeout,
            attempts,
        )
        create = endpoint is not None if create_buckets is None else create_buckets
        return cls(client, endpoint=endpoint or "AWS S3", create_buckets=create, part_size=part_size)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        sha256: str,
        media_type: str,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = True,
    ) -> StoredObject:
        """See :class:`.objectstore.ObjectStore`. The stored object is looked at again before this returns."""
        size = path.stat().st_size
        headers = encode_metadata({**(metadata or {}), "sha256": sha256})
        if (existing := self._same(bucket, key, size, sha256)) is not None:
            return existing
        arguments: dict[str, Any] = {"Bucket": bucket, "Key": key}
        created = {"ContentType": media_type, "Metadata": headers}
        condition: dict[str, Any] = {} if overwrite else {"IfNoneMatch": "*"}
        try:
            with self._explained(f"storing {bucket}/{key}"):
                self._with_bucket(
                    bucket, lambda: self._upload(path, size, sha256, arguments, created, condition)
                )
        except RealmError as error:
            # Another writer was first, or our own first try was, and only its answer got lost.
            if error.code is Code.ALREADY_EXISTS and (existing := self._same(bucket, key, size, sha256)):
                return existing
            raise
        return self._verified(bucket, key, size, sha256)

    def head(self, bucket: str, key: str) -> StoredObject | None:
        """See :class:`.objectstore.ObjectStore`. ``sha256`` is empty for an object that others put there."""
        from botocore.exceptions import ClientError

        with self._explained(f"looking at {bucket}/{key}"):
            try:
                found = self._client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise
        metadata = decode_metadata(found.get("Metadata", {}))
        digest = metadata.pop("sha256", "")
        return StoredObject(
            f"s3://{bucket}/{key}", found["ContentLength"], digest, True, found.get("VersionId"), metadata
        )

    def fetch_file(self, uri: str, path: Path) -> None:
        """See :class:`.objectstore.ObjectStore`. DATA_CORRUPTED when the bytes are not those that were
        stored."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        digest = hashlib.sha256()
        with self._explained(f"fetching {uri}"), atomic_file(path) as file:
            found = self._client.get_object(Bucket=bucket, Key=key)
            for chunk in found["Body"].iter_chunks(1 << 20):
                digest.update(chunk)
                file.write(chunk)
            expected = found.get("Metadata", {}).get("sha256")
            if expected and digest.hexdigest() != expected:
                raise RealmError(Code.DATA_CORRUPTED, f"{uri} at {self.endpoint} does not match its sha256")

    def delete(self, bucket: str, key: str) -> bool:
        """See :class:`.objectstore.ObjectStore`."""
        if self.head(bucket, key) is None:
            return False
        with self._explained(f"deleting {bucket}/{key}"):
            self._client.delete_object(Bucket=bucket, Key=key)
        return True

    def _upload(
        self,
        path: Path,
        size: int,
        sha256: str,
        place: dict[str, Any],
        created: dict[str, Any],
        condition: dict[str, Any],
    ) -> None:
        if size > self._part_size:
            self._upload_parts(path, size, sha256, place, created, condition)
            return
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with path.open("rb") as file:
            self._client.put_object(**place, **created, **condition, Body=file, ChecksumSHA256=checksum)

    def _upload_parts(
        self,
        path: Path,
        size: int,
        sha256: str,
        place: dict[str, Any],
        created: dict[str, Any],
        condition: dict[str, Any],
    ) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        part_size = max(self._part_size, -(-size // MAX_PARTS))
        upload = self._client.create_multipart_upload(**place, **created, ChecksumAlgorithm="SHA256")
        place = {**place, "UploadId": upload["UploadId"]}
        whole = hashlib.sha256()
        parts: list[dict[str, Any]] = []
        try:
            with path.open("rb") as file:
                while chunk := file.read(part_size):
                    whole.update(chunk)
                    checksum = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
                    number = len(parts) + 1
                    sent = self._client.upload_part(
                        **place, PartNumber=number, Body=chunk, ChecksumSHA256=checksum
                    )
                    parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum})
            if whole.hexdigest() != sha256:
                raise RealmError(Code.DATA_CORRUPTED, f"{path} changed while it was uploaded")
            self._client.complete_multipart_upload(**place, **condition, MultipartUpload={"Parts": parts})
        except BaseException:
            # Parts of an upload that is never completed are kept, and billed, for ever.
            with suppress(BotoCoreError, ClientError):  # the failure itself says more than the clean-up's
                self._client.abort_multipart_upload(**place)
            raise

    def _same(self, bucket: str, key: str, size: int, sha256: str) -> StoredObject | None:
        """The object under ``key`` if it has these very bytes."""
        found = self.head(bucket, key)
        if found is None or found.size != size or (found.sha256 or self._digest(bucket, key)) != sha256:
            return None
        return StoredObject(found.uri, size, sha256, False, found.version, found.metadata)

    def _verified(self, bucket: str, key: str, size: int, sha256: str) -> StoredObject:
        stored = self.head(bucket, key)
        if stored is None or stored.size != size or stored.sha256 != sha256:
            raise RealmError(
                Code.DATA_CORRUPTED,
                f"{self.endpoint} does not hold {bucket}/{key} as it was sent",
                hint="does something else write to that key?",
                details={"sent": {"size": size, "sha256": sha256}, "found": _short(stored)},
            )
        return stored

    def _digest(self, bucket: str, key: str) -> str:
        """The sha256 of an object that others put there, by reading it."""
        digest = hashlib.sha256()
        with self._explained(f"reading {bucket}/{key}"):
            for chunk in self._client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def _with_bucket(self, bucket: str, work: Any) -> None:
        from botocore.exceptions import ClientError

        try:
            work()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchBucket" or not self._create_buckets:
                raise
            self._create_bucket(bucket)
            work()

    def _create_bucket(self, bucket: str) -> None:
        from botocore.exceptions import ClientError

        region = self._client.meta.region_name
        place = (
            {}
            if region in (None, "us-east-1")
            else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        try:
            self._client.create_bucket(Bucket=bucket, **place)
        except ClientError as error:
            # Another worker was faster.
            if error.response.get("Error", {}).get("Code") not in (
                "BucketAlreadyOwnedByYou",
                "BucketAlreadyExists",
            ):
                raise

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn boto3's exceptions into ours; each names the endpoint."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

        try:
            yield
        except ClientError as error:
            code, hint, details = verdict_on(error.response)
            words = error.response.get("Error", {}).get("Message") or details["service_code"]
            raise RealmError(
                code,
                f"{doing}: {self.endpoint} answered {details['service_code'] or details['status']}: {words}",
                hint=hint,
                details={**details, "endpoint": self.endpoint},
            ) from error
        except NoCredentialsError as error:
            raise RealmError(
                Code.UNAUTHENTICATED,
                f"{doing}: no credentials for {self.endpoint}",
                hint="set MIRROR_REALM_S3_ACCESS_KEY and MIRROR_REALM_S3_SECRET_KEY",
            ) from error
        except ParamValidationError as error:
            raise RealmError(Code.INVALID_ARGUMENT, f"{doing}: {error}") from error
        except BotoCoreError as error:
            raise RealmError(
                Code.UNAVAILABLE,
                f"{doing}: {self.endpoint} cannot be used: {error}",
                hint="is the object store running, and does MIRROR_REALM_S3_ENDPOINT name it?",
                details={"endpoint": self.endpoint},
            ) from error


def encode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as S3 takes it: ASCII, other text as RFC 2047 encoded words. INVALID_ARGUMENT for unusable
    names, OUT_OF_RANGE beyond S3's 2 KiB.

    >>> encode_metadata({"by": "mirror-realm", "camera": "相机"})
    {'by': 'mirror-realm', 'camera': '=?utf-8?b?55u45py6?='}
    """
    encoded: dict[str, str] = {}
    for name, value in metadata.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise RealmError(
                Code.INVALID_ARGUMENT,
                f"{name!r} cannot be the name of object metadata",
                hint="use letters, digits, hyphens and underscores",
            )
        text = str(value)
        plain = text.isascii() and text.isprintable() and text == text.strip() and "=?" not in text
        encoded[name.lower()] = text if plain else f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="
    size = sum(len(name) + len(value) for name, value in encoded.items())
    if size > MAX_METADATA_BYTES:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"the object metadata has {size} bytes; S3 takes {MAX_METADATA_BYTES}",
            hint="use include_metadata, which stores it as a JSON object of its own",
        )
    return encoded


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The inverse of :func:`encode_metadata`."""
    return {
        name.lower(): str(make_header(decode_header(value))) if "=?" in value else value
        for name, value in metadata.items()
    }


@lru_cache(maxsize=8)
def _client(
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    region: str,
    connect_timeout: float,
    read_timeout: float,
    attempts: int,
) -> Any:
    """One client per configuration: it is thread-safe, holds the connections, and takes 100 ms to make."""
    from boto3.session import Session
    from botocore.config import Config

    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        s3={"addressing_style": "path" if endpoint else "auto"},
        # We send SHA-256 ourselves; botocore's trailing CRC32 is refused by older S3-compatible servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return Session().client(  # a session of its own: boto3's default one is not thread-safe
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region,
        config=config,
    )


def _short(stored: StoredObject | None) -> dict[str, Any] | None:
    return None if stored is None else {"size": stored.size, "sha256": stored.sha256}
