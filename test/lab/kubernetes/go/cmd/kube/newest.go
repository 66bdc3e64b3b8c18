//go:build !kubernetes_1_33

package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Where the releases' own main functions differ.
var (
	// checkKubeadm exits with the status that kubeadm documents for the kind of error.
	checkKubeadm      = kubeadmutil.HandleError
	newKubeletCommand = func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }
	prepareKubectl    = func() { logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) }
)
