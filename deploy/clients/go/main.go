// Journey does what the Pulse core does with both services, in one run: add a
// connection, list page by page, watch, come back by resume token, remove it.
//
// The packages below gen are made by `buf generate`. The API key comes on
// standard input. Prints one JSON object for each step.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	collector "github.com/rcourtman/pulse/gen/pulse/collector/v1"
	registry "github.com/rcourtman/pulse/gen/pulse/registry/v1"
	resource "github.com/rcourtman/pulse/gen/pulse/resource/v1"
)

const deadline = time.Minute

// token is shown with every call; gRPC sends it over TLS only.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

func (token) RequireTransportSecurity() bool { return true }

func dial(address, ca, tokenFile string) (*grpc.ClientConn, error) {
	if ca == "" {
		return grpc.Dial(address, grpc.WithInsecure())
	}
	tls, err := credentials.NewClientTLSFromFile(ca, "")
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(tls)}
	if tokenFile != "" {
		text, err := os.ReadFile(tokenFile)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithPerRPCCredentials(token(strings.TrimSpace(string(text)))))
	}
	return grpc.Dial(address, options...)
}

func say(step string, facts map[string]interface{}) {
	if facts == nil {
		facts = map[string]interface{}{}
	}
	facts["step"] = step
	line, err := json.Marshal(facts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// mirror holds exactly what matches a filter, across as many streams as it takes.
type mirror struct {
	client registry.ResourceServiceClient
	filter string
	held   map[string]*resource.Resource
	token  string
}

// follow watches on from where the mirror was, until it is as wanted.
func (m *mirror) follow(ctx context.Context, until func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	stream, err := m.client.WatchResources(ctx, &registry.WatchResourcesRequest{Filter: m.filter, ResumeToken: m.token})
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, event := range message.Events {
			if event.Kind == registry.ResourceEvent_KIND_REMOVED {
				delete(m.held, event.Resource.Id)
			} else {
				m.held[event.Resource.Id] = event.Resource
			}
		}
		// Only at a token is everything there that the token stands for.
		if message.ResumeToken != "" {
			m.token = message.ResumeToken
			if until() {
				return nil
			}
		}
	}
}

// followOrBeginAnew reads the list again when the history after the token is no longer kept.
func (m *mirror) followOrBeginAnew(ctx context.Context, until func() bool) error {
	err := m.follow(ctx, until)
	if status.Code(err) != codes.OutOfRange {
		return err
	}
	m.held, m.token = map[string]*resource.Resource{}, ""
	return m.follow(ctx, until)
}

func (m *mirror) has(is func(*resource.Resource) bool) bool {
	for _, found := range m.held {
		if is(found) {
			return true
		}
	}
	return false
}

// everyPage lists all that matches; its pages are of one revision.
func everyPage(ctx context.Context, client registry.ResourceServiceClient, filter string) ([]*resource.Resource, error) {
	var all []*resource.Resource
	request := &registry.ListResourcesRequest{Filter: filter, PageSize: 5, OrderBy: "severity desc, name"}
	for {
		page, err := client.ListResources(ctx, request)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Resources...)
		if request.PageToken = page.NextPageToken; request.PageToken == "" {
			return all, nil
		}
	}
}

func journey() error {
	registryAt := flag.String("registry", "127.0.0.1:7660", "address of the registry")
	collectorAt := flag.String("collector", "127.0.0.1:7670", "address of the collector")
	ca := flag.String("ca", "", "PEM file of the authority to believe; without it plain text")
	tokenFile := flag.String("token-file", "", "file with a token")
	name := flag.String("name", "from-go", "name of the connection")
	host := flag.String("host", "", "the appliance")
	port := flag.Uint("port", 443, "its port")
	username := flag.String("username", "", "owner of the key")
	fingerprint := flag.String("fingerprint", "", "of its certificate")
	flag.Parse()

	ctx := context.Background()
	toCollector, err := dial(*collectorAt, *ca, *tokenFile)
	if err != nil {
		return err
	}
	defer toCollector.Close()
	toRegistry, err := dial(*registryAt, *ca, *tokenFile)
	if err != nil {
		return err
	}
	defer toRegistry.Close()
	connections := collector.NewConnectionServiceClient(toCollector)
	resources := registry.NewResourceServiceClient(toRegistry)

	input := bufio.NewReader(os.Stdin)
	key, err := input.ReadString('\n')
	if err != nil {
		return err
	}
	connection := &collector.Connection{
		Name: *name, Host: *host, Port: uint32(*port), Username: *username,
		Fingerprint: *fingerprint, ApiKey: strings.TrimSpace(key),
	}
	tested, err := connections.TestConnection(ctx, &collector.TestConnectionRequest{
		Target: &collector.TestConnectionRequest_Connection{Connection: connection},
	})
	if err != nil {
		return err
	}
	say("tested", map[string]interface{}{"success": tested.Success, "version": tested.ApplianceVersion})
	answer, err := connections.CreateConnection(ctx, &collector.CreateConnectionRequest{Connection: connection})
	if err != nil {
		return err
	}
	created := answer.Connection
	say("created", map[string]interface{}{"id": created.Id})

	m := &mirror{client: resources, filter: fmt.Sprintf("connection = %q", created.Id), held: map[string]*resource.Resource{}}
	isPool := func(r *resource.Resource) bool { return r.Technology == "zfs-pool" }
	isDisk := func(r *resource.Resource) bool { return r.Type == resource.ResourceType_RESOURCE_TYPE_PHYSICAL_DISK }
	if err := m.follow(ctx, func() bool { return m.has(isPool) && m.has(isDisk) }); err != nil {
		return err
	}
	say("watched", map[string]interface{}{"resources": len(m.held)})

	// Another stream goes on where the first one was cut.
	say("cut", nil)
	if _, err := input.ReadString('\n'); err != nil {
		return err
	}
	before := map[string]bool{}
	for id := range m.held {
		before[id] = true
	}
	isNew := func(r *resource.Resource) bool { return !before[r.Id] }
	if err := m.followOrBeginAnew(ctx, func() bool { return m.has(isNew) }); err != nil {
		return err
	}
	added := []string{}
	for _, found := range m.held {
		if isNew(found) {
			added = append(added, found.Name)
		}
	}
	say("resumed", map[string]interface{}{"new": added})

	listed, err := everyPage(ctx, resources, m.filter)
	if err != nil {
		return err
	}
	if len(listed) != len(m.held) {
		return fmt.Errorf("the list has %d resources, the watch %d", len(listed), len(m.held))
	}
	say("listed", map[string]interface{}{"resources": len(listed), "pages_of": 5})

	deletion := &collector.DeleteConnectionRequest{Id: created.Id, Etag: created.Etag}
	if _, err := connections.DeleteConnection(ctx, deletion); err != nil {
		return err
	}
	if err := m.followOrBeginAnew(ctx, func() bool { return len(m.held) == 0 }); err != nil {
		return err
	}
	say("removed", map[string]interface{}{"resources": len(m.held)})
	return nil
}

func main() {
	if err := journey(); err != nil {
		log.Fatal(err)
	}
}
