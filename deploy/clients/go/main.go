// Journey does what the Pulse core does with both services, in one run: add a
// connection, watch, come back by resume token, list page by page, remove it.
// docs/clients.md has the commands.
//
// The API key comes from PULSE_TRUENAS_API_KEY, or is the first line of standard
// input. Prints one JSON object for each step; standard error says what is waited
// for. It speaks TLS to an https:// address, and wherever an authority or a
// certificate is given. What went wrong, and what helps, stands on standard error;
// the exit code is 1 then. The connection is removed in any case.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
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

// read is a file that was named, or the reason why there is nothing in it.
func read(path, what string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	}
	if content = bytes.TrimSpace(content); len(content) == 0 {
		return nil, fmt.Errorf("%s %s is empty", what, path)
	}
	return content, nil
}

// files are what TLS wants, as far as they were given.
type files struct{ ca, cert, key string }

func (f files) config() (*tls.Config, error) {
	config := &tls.Config{}
	if f.ca != "" {
		authorities, err := read(f.ca, "--tls-ca")
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("--tls-ca %s holds no certificate in PEM", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("--tls-cert and --tls-key belong together")
	}
	if f.cert != "" {
		identity, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{identity}
	}
	return config, nil
}

// server is one of the two services: where it is, and what it is shown.
type server struct {
	*grpc.ClientConn
	name, target, tokenFile string
}

func dial(name, address, tokenFile string, f files) (*server, error) {
	target := strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	s := &server{name: name, target: target, tokenFile: tokenFile}
	isTLS := strings.HasPrefix(address, "https://") || f != files{}
	if !isTLS && tokenFile != "" {
		return nil, fmt.Errorf("a token is sent over TLS only: give --tls-ca, or https://%s as --%s", target, name)
	}
	option := grpc.WithInsecure()
	if isTLS {
		config, err := f.config()
		if err != nil {
			return nil, err
		}
		option = grpc.WithTransportCredentials(credentials.NewTLS(config))
	}
	options := []grpc.DialOption{option}
	if tokenFile != "" {
		text, err := read(tokenFile, "the token file")
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithPerRPCCredentials(token(text)))
	}
	var err error
	s.ClientConn, err = grpc.Dial(target, options...)
	return s, err
}

// explain adds to the error of a call what helps.
func (s *server) explain(err error) error {
	told, isOfCall := status.FromError(err)
	if err == nil || !isOfCall {
		return err
	}
	return fmt.Errorf("the %s at %s: %s: %s\n%s", s.name, s.target, told.Code(), told.Message(), s.remedy(told))
}

func (s *server) remedy(told *status.Status) string {
	made := fmt.Sprintf("`pulse-%s tokens create` makes one", s.name)
	switch told.Code() {
	case codes.Unauthenticated, codes.PermissionDenied:
		if s.tokenFile == "" {
			return fmt.Sprintf("Give a token with --%s-token-file or --token-file; %s.", s.name, made)
		}
		if told.Code() == codes.PermissionDenied {
			return fmt.Sprintf("Give a token that may, with --%s-token-file; %s.", s.name, made)
		}
		return fmt.Sprintf("%s holds no token that counts at the %s, or no longer; %s.", s.tokenFile, s.name, made)
	case codes.Unavailable:
		if strings.Contains(told.Message(), "x509: ") {
			return "Give the authority that issued its certificate with --tls-ca, and an address that stands in it."
		}
		return fmt.Sprintf("Look whether it runs and whether --%s is its address; whether it speaks TLS (--tls-ca), "+
			"and asks for a certificate (--tls-cert, --tls-key).", s.name)
	}
	return ""
}

// lines are those of standard input: waiting for one ends with the context, too.
func lines() <-chan string {
	found := make(chan string)
	go func() {
		defer close(found)
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			found <- input.Text()
		}
	}()
	return found
}

func next(ctx context.Context, input <-chan string) (string, error) {
	select {
	case line := <-input:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// apiKey goes to the collector and is never read back.
func apiKey(ctx context.Context, input <-chan string) (string, error) {
	key := os.Getenv("PULSE_TRUENAS_API_KEY")
	if key == "" {
		if about, err := os.Stdin.Stat(); err == nil && about.Mode()&os.ModeCharDevice != 0 {
			log.Print("API key:")
		}
		line, err := next(ctx, input)
		if err != nil {
			return "", err
		}
		key = line
	}
	if key = strings.TrimSpace(key); key == "" {
		return "", errors.New("an API key is wanted in PULSE_TRUENAS_API_KEY or on standard input")
	}
	return key, nil
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

// whyNot is what a test says of the steps that failed, and what helps.
func whyNot(tested *collector.TestConnectionResponse) error {
	told := []string{"the connection does not work, and is not added:"}
	for _, step := range tested.Steps {
		switch step.Outcome {
		case collector.TestStep_OUTCOME_FAILED, collector.TestStep_OUTCOME_FORBIDDEN, collector.TestStep_OUTCOME_UNSUPPORTED:
			said := step.Error
			if said == "" {
				said = step.Detail
			}
			told = append(told, step.Name+": "+said)
			if step.Remedy != "" {
				told = append(told, step.Name+": "+step.Remedy)
			}
		}
	}
	return errors.New(strings.Join(told, "\n"))
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

// option is a flag that a variable may give, too.
func option(name, usage string) *string {
	variable := "PULSE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	return flag.String(name, os.Getenv(variable), fmt.Sprintf("%s [%s]", usage, variable))
}

func either(own, shared string) string {
	if own != "" {
		return own
	}
	return shared
}

func journey() error {
	registryAt := flag.String("registry", "127.0.0.1:7660", "address of the registry")
	collectorAt := flag.String("collector", "127.0.0.1:7670", "address of the collector")
	ca := option("tls-ca", "PEM file of the authority to believe; without it, those of the system")
	cert := option("tls-cert", "PEM file of a certificate to show")
	key := option("tls-key", "PEM file of its key")
	tokenFile := option("token-file", "file with a token, where both services know the same")
	registryToken := option("registry-token-file", "file with a token of the registry")
	collectorToken := option("collector-token-file", "file with a token of the collector")
	name := flag.String("name", "from-go", "name of the connection")
	host := flag.String("host", "", "the appliance")
	port := flag.Uint("port", 443, "its port")
	username := flag.String("username", "", "owner of the key")
	fingerprint := flag.String("fingerprint", "", "of its certificate")
	flag.Parse()

	// Ctrl-C ends what is waited for, and what was added is removed all the same.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	shown := files{ca: *ca, cert: *cert, key: *key}
	toCollector, err := dial("collector", *collectorAt, either(*collectorToken, *tokenFile), shown)
	if err != nil {
		return err
	}
	defer toCollector.Close()
	toRegistry, err := dial("registry", *registryAt, either(*registryToken, *tokenFile), shown)
	if err != nil {
		return err
	}
	defer toRegistry.Close()
	connections := collector.NewConnectionServiceClient(toCollector)
	resources := registry.NewResourceServiceClient(toRegistry)

	input := lines()
	secret, err := apiKey(ctx, input)
	if err != nil {
		return err
	}
	connection := &collector.Connection{
		Name: *name, Host: *host, Port: uint32(*port), Username: *username,
		Fingerprint: *fingerprint, ApiKey: secret,
	}
	// Who is not let in at one of them leaves nothing behind at the other.
	if _, err := resources.SummarizeResources(ctx, &registry.SummarizeResourcesRequest{}); err != nil {
		return toRegistry.explain(err)
	}
	tested, err := connections.TestConnection(ctx, &collector.TestConnectionRequest{
		Target: &collector.TestConnectionRequest_Connection{Connection: connection},
	})
	if err != nil {
		return toCollector.explain(err)
	}
	say("tested", map[string]interface{}{"success": tested.Success, "version": tested.ApplianceVersion})
	if !tested.Success {
		return whyNot(tested)
	}
	answer, err := connections.CreateConnection(ctx, &collector.CreateConnectionRequest{Connection: connection})
	if err != nil {
		return toCollector.explain(err)
	}
	created := answer.Connection
	remove := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		_, err := connections.DeleteConnection(ctx, &collector.DeleteConnectionRequest{Id: created.Id, Etag: created.Etag})
		return toCollector.explain(err)
	}
	isThere := true
	defer func() {
		if isThere {
			if err := remove(); err != nil {
				log.Printf("the connection %s is still there: %v", created.Id, err)
			}
		}
	}()
	say("created", map[string]interface{}{"id": created.Id})

	m := &mirror{client: resources, filter: fmt.Sprintf("connection = %q", created.Id), held: map[string]*resource.Resource{}}
	if err := look(ctx, m, input, *host); err != nil {
		return toRegistry.explain(err)
	}
	if err := remove(); err != nil {
		return err
	}
	isThere = false
	if err := m.followOrBeginAnew(ctx, func() bool { return len(m.held) == 0 }); err != nil {
		return toRegistry.explain(err)
	}
	say("removed", map[string]interface{}{"resources": len(m.held)})
	return nil
}

// look watches, is cut off, comes back, and lists the same.
func look(ctx context.Context, m *mirror, input <-chan string, host string) error {
	isPool := func(r *resource.Resource) bool { return r.Technology == "zfs-pool" }
	isDisk := func(r *resource.Resource) bool { return r.Type == resource.ResourceType_RESOURCE_TYPE_PHYSICAL_DISK }
	if err := m.follow(ctx, func() bool { return m.has(isPool) && m.has(isDisk) }); err != nil {
		return err
	}
	say("watched", map[string]interface{}{"resources": len(m.held)})

	// Another stream goes on where the first one was cut.
	say("cut", nil)
	log.Printf("The watch is cut off. Add something to %s, such as a disk, and press Enter: it goes on and waits for that.", host)
	if _, err := next(ctx, input); err != nil {
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

	listed, err := everyPage(ctx, m.client, m.filter)
	if err != nil {
		return err
	}
	if len(listed) != len(m.held) {
		return fmt.Errorf("the list has %d resources, the watch %d", len(listed), len(m.held))
	}
	say("listed", map[string]interface{}{"resources": len(listed), "pages_of": 5})
	return nil
}

func main() {
	log.SetFlags(0)
	if err := journey(); err != nil {
		log.Fatal(err)
	}
}
