//go:build kubernetes_1_33

package main

import kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"

// checkKubeadm exits with the status kubeadm documents for the kind of error.
var checkKubeadm = kubeadmutil.CheckErr
