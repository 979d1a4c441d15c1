// The oldest versions that this builds with, and those that its test uses.
module github.com/rcourtman/pulse

go 1.21

require (
	google.golang.org/grpc v1.33.3
	google.golang.org/protobuf v1.28.1
)
