// Command etcd is the etcd server, and etcdctl when it is called by that name.
package main

import (
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// etcdctl is nil where the client is not built in.
var etcdctl func()

func main() {
	if etcdctl != nil && filepath.Base(os.Args[0]) == "etcdctl" {
		etcdctl()
		return
	}
	etcdmain.Main(os.Args)
}
