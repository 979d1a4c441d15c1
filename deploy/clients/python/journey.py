"""What the Pulse core does with both services, in one run: add a connection, list page by page, watch, come back by
resume token, remove the connection.

    python -m grpc_tools.protoc --proto_path proto --python_out gen --grpc_python_out gen $(find proto -name '*.proto')
    PYTHONPATH=gen python journey.py --registry 127.0.0.1:7660 --collector 127.0.0.1:7670 \
        --host nas1.example --username pulse --fingerprint sha256:... < api-key

Prints one JSON object for each step. With --ca it speaks TLS; with --token-file it shows a token.
"""

import argparse
import json
import pathlib
import sys

import grpc
from google.protobuf import field_mask_pb2
from pulse.collector.v1 import connection_service_pb2 as collector
from pulse.collector.v1 import connection_service_pb2_grpc as collector_grpc
from pulse.registry.v1 import resource_service_pb2 as registry
from pulse.registry.v1 import resource_service_pb2_grpc as registry_grpc
from pulse.resource.v1 import enums_pb2 as enums

DEADLINE_SECONDS = 60


def channel(address, arguments):
    """To a server; a token goes over TLS only, which gRPC itself sees to."""
    if not arguments.ca:
        return grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(pathlib.Path(arguments.ca).read_bytes())
    if arguments.token_file:
        token = pathlib.Path(arguments.token_file).read_text().strip()
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
    return grpc.secure_channel(address, credentials)


def say(step, **facts):
    print(json.dumps({"step": step, **facts}), flush=True)


def every_page(resources, **query):
    """All pages are of the revision of the first one."""
    token, revision = "", 0
    while True:
        request = registry.ListResourcesRequest(page_token=token, **query)
        page = resources.ListResources(request, timeout=DEADLINE_SECONDS)
        assert revision in (0, page.revision), "pages of two revisions"
        revision, token = page.revision, page.next_page_token
        yield from page.resources
        if not token:
            return


class Mirror:
    """Holds exactly what matches a filter, across as many streams as it takes."""

    def __init__(self, resources, query):
        self.resources, self.query = resources, query
        self.held, self.token, self.listed = {}, "", False

    def follow(self, until):
        """Watches on from where it was, until `until(self)`."""
        request = registry.WatchResourcesRequest(filter=self.query, resume_token=self.token)
        stream = self.resources.WatchResources(request, timeout=DEADLINE_SECONDS)
        try:
            for message in stream:
                for event in message.events:
                    if event.kind == registry.ResourceEvent.KIND_REMOVED:
                        self.held.pop(event.resource.id, None)
                    else:
                        self.held[event.resource.id] = event.resource
                self.listed = self.listed or message.initial_list_end
                # Only at a token is everything there that the token stands for.
                if message.resume_token:
                    self.token = message.resume_token
                    if until(self):
                        return
        finally:
            stream.cancel()
        raise SystemExit("the watch ended before what was waited for")

    def follow_or_begin_anew(self, until):
        """History is kept for so long: after that, the list is read again."""
        try:
            self.follow(until)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.OUT_OF_RANGE:
                raise
            self.held, self.token, self.listed = {}, "", False
            self.follow(until)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--registry", default="127.0.0.1:7660")
    arguments.add_argument("--collector", default="127.0.0.1:7670")
    arguments.add_argument("--ca")
    arguments.add_argument("--token-file")
    arguments.add_argument("--name", default="from-python")
    arguments.add_argument("--host", required=True)
    arguments.add_argument("--port", type=int, default=443)
    arguments.add_argument("--username", default="")
    arguments.add_argument("--fingerprint", default="")
    arguments = arguments.parse_args()

    connections = collector_grpc.ConnectionServiceStub(channel(arguments.collector, arguments))
    resources = registry_grpc.ResourceServiceStub(channel(arguments.registry, arguments))

    # The key comes on standard input and is never read back.
    connection = collector.Connection(
        name=arguments.name,
        host=arguments.host,
        port=arguments.port,
        username=arguments.username,
        fingerprint=arguments.fingerprint,
        api_key=sys.stdin.readline().strip(),
    )
    test = collector.TestConnectionRequest(connection=connection)
    tested = connections.TestConnection(test, timeout=DEADLINE_SECONDS)
    say("tested", success=tested.success, version=tested.appliance_version)
    request = collector.CreateConnectionRequest(connection=connection)
    created = connections.CreateConnection(request, timeout=DEADLINE_SECONDS).connection
    assert "-" not in created.api_key, "the key was read back"
    say("created", id=created.id)

    mirror = Mirror(resources, f'connection = "{created.id}"')
    pool = lambda seen: any(found.technology == "zfs-pool" for found in seen.held.values())
    disk = lambda seen: any(found.type == enums.RESOURCE_TYPE_PHYSICAL_DISK for found in seen.held.values())
    mirror.follow(lambda seen: pool(seen) and disk(seen))
    say("watched", resources=len(mirror.held))

    # Another stream goes on where the first one was cut.
    say("cut")
    sys.stdin.readline()
    before = set(mirror.held)
    mirror.follow_or_begin_anew(lambda seen: set(seen.held) - before)
    new = sorted(mirror.held[id].name for id in set(mirror.held) - before)
    say("resumed", new=new)

    paths = field_mask_pb2.FieldMask(paths=["id", "name", "severity"])
    listed = list(every_page(resources, filter=mirror.query, page_size=5, order_by="severity desc, name", read_mask=paths))
    assert {found.id for found in listed} == set(mirror.held), "the list and the watch differ"
    say("listed", resources=len(listed), pages_of=5)

    deletion = collector.DeleteConnectionRequest(id=created.id, etag=created.etag)
    connections.DeleteConnection(deletion, timeout=DEADLINE_SECONDS)
    mirror.follow_or_begin_anew(lambda seen: not seen.held)
    say("removed", resources=len(mirror.held))


if __name__ == "__main__":
    main()
