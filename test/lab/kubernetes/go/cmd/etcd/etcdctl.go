//go:build !kubernetes_1_33

// The module proxy does not have the etcdctl that belongs to 1.33's etcd; the newer one talks to it as well.

package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func init() { etcdctl = ctlv3.MustStart }
