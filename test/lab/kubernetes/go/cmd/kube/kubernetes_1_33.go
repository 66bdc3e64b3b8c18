//go:build kubernetes_1_33

package main

import (
	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Where the releases' own main functions differ.
var (
	checkKubeadm      = kubeadmutil.CheckErr
	newKubeletCommand = kubelet.NewKubeletCommand
	prepareKubectl    = func() {}
)
