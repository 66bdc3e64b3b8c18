// Command pause holds a pod's namespaces and reaps what is left to it, as Kubernetes' own pause.c does.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	for _, argument := range os.Args[1:] {
		// `kubeadm upgrade` runs this as a job to see whether the cluster runs jobs.
		if strings.EqualFold(argument, "-v") {
			fmt.Println("pause of the runbook lab")
			return
		}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
