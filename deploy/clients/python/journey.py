"""What the Pulse core does with both services, in one run: add a connection, watch, come back by resume token, list page by
page, remove the connection. docs/clients.md has the commands.

The API key comes from PULSE_TRUENAS_API_KEY, or is the first line of standard input. Prints one JSON object for each step;
standard error says what is waited for. It speaks TLS to an https:// address, and wherever an authority or a certificate is
given. What went wrong, and what helps, stands on standard error; the exit code is 1 then. The connection is removed in any case.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys

# What gRPC itself writes about a handshake stands in the error, too.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from google.protobuf import field_mask_pb2
from pulse.collector.v1 import connection_service_pb2 as collector
from pulse.collector.v1 import connection_service_pb2_grpc as collector_grpc
from pulse.registry.v1 import resource_service_pb2 as registry
from pulse.registry.v1 import resource_service_pb2_grpc as registry_grpc
from pulse.resource.v1 import enums_pb2 as enums

DEADLINE_SECONDS = 60


def read(path, what):
    """A file that was named, or the reason why there is nothing in it."""
    try:
        content = pathlib.Path(path).read_bytes().strip()
    except OSError as error:
        raise SystemExit(f"{what} {path} cannot be read: {error.strerror}")
    if not content:
        raise SystemExit(f"{what} {path} is empty")
    return content


class Server:
    """One of the two services: where it is, what it is shown, and what helps when it does not let us in."""

    def __init__(self, name, address, token_file, arguments):
        self.name, self.address, self.token_file = name, address, token_file
        is_tls = address.startswith("https://") or arguments.tls_ca or arguments.tls_cert
        self.target = address.removeprefix("https://").removeprefix("http://")
        if not is_tls:
            if token_file:
                raise SystemExit(f"a token is sent over TLS only: give --tls-ca, or https://{self.target} as --{name}")
            self.channel = grpc.insecure_channel(self.target)
            return
        credentials = grpc.ssl_channel_credentials(
            root_certificates=read(arguments.tls_ca, "--tls-ca") if arguments.tls_ca else None,
            private_key=read(arguments.tls_key, "--tls-key") if arguments.tls_key else None,
            certificate_chain=read(arguments.tls_cert, "--tls-cert") if arguments.tls_cert else None,
        )
        if token_file:
            token = grpc.access_token_call_credentials(read(token_file, "the token file").decode())
            credentials = grpc.composite_channel_credentials(credentials, token)
        self.channel = grpc.secure_channel(self.target, credentials)

    @contextlib.contextmanager
    def asked(self):
        """Calls of this server; where one fails for good, the program ends and says what helps."""
        try:
            yield
        except grpc.RpcError as error:
            helps = self.remedy(error.code(), error.details())
            raise SystemExit(f"the {self.name} at {self.target}: {error.code().name}: {error.details()}\n{helps}")

    def remedy(self, code, details):
        refused = code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
        made = f"`pulse-{self.name} tokens create` makes one"
        if refused and not self.token_file:
            return f"Give a token with --{self.name}-token-file or --token-file; {made}."
        if code == grpc.StatusCode.UNAUTHENTICATED:
            return f"{self.token_file} holds no token that counts at the {self.name}, or no longer; {made}."
        if code == grpc.StatusCode.PERMISSION_DENIED:
            return f"Give a token that may, with --{self.name}-token-file; {made}."
        if code == grpc.StatusCode.UNAVAILABLE and "CERTIFICATE_VERIFY_FAILED" in details:
            return "Give the authority that issued its certificate with --tls-ca, and an address that stands in it."
        if code == grpc.StatusCode.UNAVAILABLE:
            return (
                f"Look whether it runs and whether --{self.name} is its address; whether it speaks TLS (--tls-ca), "
                "and asks for a certificate (--tls-cert, --tls-key)."
            )
        return ""


def say(step, **facts):
    print(json.dumps({"step": step, **facts}), flush=True)


def tell(text):
    """Of what a person should know, apart from what a program reads."""
    print(text, file=sys.stderr, flush=True)


def api_key():
    """It goes to the collector and is never read back."""
    key = os.environ.get("PULSE_TRUENAS_API_KEY")
    if not key:
        if sys.stdin.isatty():
            tell("API key:")
        key = sys.stdin.readline()
    if not key.strip():
        raise SystemExit("an API key is wanted in PULSE_TRUENAS_API_KEY or on standard input")
    return key.strip()


def why_not(tested):
    """What a test says of the steps that failed, and what helps."""
    steps = collector.TestStep
    failed = (steps.OUTCOME_FAILED, steps.OUTCOME_FORBIDDEN, steps.OUTCOME_UNSUPPORTED)
    told = ["the connection does not work, and is not added:"]
    for step in tested.steps:
        if step.outcome in failed:
            told.append(f"{step.name}: {step.error or step.detail}")
            if step.remedy:
                told.append(f"{step.name}: {step.remedy}")
    return "\n".join(told)


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


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def option(name, help, **more):
        """Which a variable may give, too."""
        variable = "PULSE_" + name.removeprefix("--").replace("-", "_").upper()
        parser.add_argument(name, default=os.environ.get(variable), help=f"{help} [{variable}]", **more)

    parser.add_argument("--registry", default="127.0.0.1:7660", help="address of the registry")
    parser.add_argument("--collector", default="127.0.0.1:7670", help="address of the collector")
    option("--tls-ca", "PEM file of the authority to believe; without it, those of gRPC")
    option("--tls-cert", "PEM file of a certificate to show")
    option("--tls-key", "PEM file of its key")
    option("--token-file", "file with a token, where both services know the same")
    option("--registry-token-file", "file with a token of the registry")
    option("--collector-token-file", "file with a token of the collector")
    parser.add_argument("--name", default="from-python", help="name of the connection")
    parser.add_argument("--host", required=True, help="the appliance")
    parser.add_argument("--port", type=int, default=443, help="its port")
    parser.add_argument("--username", default="", help="owner of the key")
    parser.add_argument("--fingerprint", default="", help="of its certificate")
    arguments = parser.parse_args()
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser.error("--tls-cert and --tls-key belong together")
    return arguments


def main():
    arguments = parsed()
    at_collector = arguments.collector_token_file or arguments.token_file
    at_registry = arguments.registry_token_file or arguments.token_file
    to_collector = Server("collector", arguments.collector, at_collector, arguments)
    to_registry = Server("registry", arguments.registry, at_registry, arguments)
    connections = collector_grpc.ConnectionServiceStub(to_collector.channel)
    resources = registry_grpc.ResourceServiceStub(to_registry.channel)

    connection = collector.Connection(
        name=arguments.name,
        host=arguments.host,
        port=arguments.port,
        username=arguments.username,
        fingerprint=arguments.fingerprint,
        api_key=api_key(),
    )
    # Who is not let in at one of them leaves nothing behind at the other.
    with to_registry.asked():
        resources.SummarizeResources(registry.SummarizeResourcesRequest(), timeout=DEADLINE_SECONDS)
    with to_collector.asked():
        test = collector.TestConnectionRequest(connection=connection)
        tested = connections.TestConnection(test, timeout=DEADLINE_SECONDS)
        say("tested", success=tested.success, version=tested.appliance_version)
        if not tested.success:
            raise SystemExit(why_not(tested))
        request = collector.CreateConnectionRequest(connection=connection)
        created = connections.CreateConnection(request, timeout=DEADLINE_SECONDS).connection

    def remove():
        deletion = collector.DeleteConnectionRequest(id=created.id, etag=created.etag)
        connections.DeleteConnection(deletion, timeout=DEADLINE_SECONDS)

    mirror = Mirror(resources, f'connection = "{created.id}"')
    try:
        assert "-" not in created.api_key, "the key was read back"
        say("created", id=created.id)
        with to_registry.asked():
            look(resources, mirror, arguments.host)
    except BaseException:
        # Whatever went wrong, or Ctrl-C: nothing is left behind.
        try:
            remove()
        except grpc.RpcError as error:
            tell(f"the connection {created.id} is still there: {error.details()}")
        raise
    with to_collector.asked():
        remove()
    with to_registry.asked():
        mirror.follow_or_begin_anew(lambda seen: not seen.held)
        say("removed", resources=len(mirror.held))


def look(resources, mirror, host):
    """Watch, be cut off, come back, and list the same."""
    pool = lambda seen: any(found.technology == "zfs-pool" for found in seen.held.values())
    disk = lambda seen: any(found.type == enums.RESOURCE_TYPE_PHYSICAL_DISK for found in seen.held.values())
    mirror.follow(lambda seen: pool(seen) and disk(seen))
    say("watched", resources=len(mirror.held))

    # Another stream goes on where the first one was cut.
    say("cut")
    tell(f"The watch is cut off. Add something to {host}, such as a disk, and press Enter: it goes on and waits for that.")
    sys.stdin.readline()
    before = set(mirror.held)
    mirror.follow_or_begin_anew(lambda seen: set(seen.held) - before)
    new = sorted(mirror.held[id].name for id in set(mirror.held) - before)
    say("resumed", new=new)

    paths = field_mask_pb2.FieldMask(paths=["id", "name", "severity"])
    query = {"filter": mirror.query, "page_size": 5, "order_by": "severity desc, name", "read_mask": paths}
    listed = list(every_page(resources, **query))
    assert {found.id for found in listed} == set(mirror.held), "the list and the watch differ"
    say("listed", resources=len(listed), pages_of=5)


if __name__ == "__main__":
    main()
