// Command vip holds a virtual IP for the control plane: the lab's stand-in for kube-vip, whose module no proxy serves.
// It reads the same environment and the same kubeconfig as `kube-vip manager` does in control-plane ARP mode, takes the
// same lease, and fails the same way without rights to it, so a static pod written for kube-vip runs with this image in
// its place. It does nothing else of kube-vip (no BGP, no services, no load balancing).
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const usage = `usage: vip manager   (address, port, vip_interface, vip_arp, cp_enable, vip_leaderelection, … in the environment)`

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	if len(os.Args) < 2 || os.Args[1] != "manager" {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(64)
	}
	for _, name := range []string{"vip_arp", "cp_enable", "vip_leaderelection"} {
		if enabled, _ := strconv.ParseBool(os.Getenv(name)); !enabled {
			log.Fatalf("%s must be true: this stand-in knows the control plane in ARP mode only", name)
		}
	}
	address, err := parseAddress(firstOf("address", "vip_address"), firstOf("vip_subnet", "vip_cidr"))
	if err != nil {
		log.Fatal(err)
	}
	link, err := findLink(os.Getenv("vip_interface"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	// A leader that was killed leaves the address behind; two holders would be worse than none.
	release(link, address)
	if err := elect(ctx, link, address); err != nil {
		log.Fatal(err)
	}
}

// elect runs for leader until ctx ends, and holds the address while it leads.
func elect(ctx context.Context, link netlink.Link, address *netlink.Addr) error {
	config, err := clientcmd.BuildConfigFromFlags("", withDefault("k8s_config_file", "/etc/kubernetes/admin.conf"))
	if err != nil {
		return err
	}
	// The kubeconfig names the virtual IP, which is not there yet. kubeadm's certificate has the name "kubernetes" and the
	// pod's hostAliases point it at this host.
	config.Host = "https://kubernetes:" + withDefault("port", "6443")
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	node := os.Getenv("vip_nodename")
	if node == "" {
		if node, err = os.Hostname(); err != nil {
			return err
		}
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: withDefault("vip_leasename", "plndr-cp-lock"), Namespace: withDefault("cp_namespace", "kube-system")},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: node},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		ReleaseOnCancel: true,
		LeaseDuration:   seconds("vip_leaseduration", 5),
		RenewDeadline:   seconds("vip_renewdeadline", 3),
		RetryPeriod:     seconds("vip_retryperiod", 1),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { hold(ctx, link, address) },
			OnStoppedLeading: func() { release(link, address) },
			OnNewLeader:      func(leader string) { log.Printf("leader is %s", leader) },
		},
	})
	return nil
}

// hold adds the address and says so to the neighbours, again and again: a neighbour may have missed the first time.
func hold(ctx context.Context, link netlink.Link, address *netlink.Addr) {
	if err := netlink.AddrReplace(link, address); err != nil {
		log.Fatalf("adding %s to %s: %v", address.IPNet, link.Attrs().Name, err)
	}
	log.Printf("holding %s on %s", address.IPNet, link.Attrs().Name)
	ticker := time.NewTicker(3 * time.Second)
	defer ticker.Stop()
	for {
		if err := announce(link, address.IP.To4()); err != nil {
			log.Printf("announcing %s: %v", address.IP, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func release(link netlink.Link, address *netlink.Addr) {
	if err := netlink.AddrDel(link, address); err == nil {
		log.Printf("released %s", address.IPNet)
	}
}

// announce broadcasts a gratuitous ARP request (RFC 5227, section 3): sender and target address are the same.
func announce(link netlink.Link, ip net.IP) error {
	const protocolARP = 0x0806
	mac := link.Attrs().HardwareAddr
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	// EtherType; hardware Ethernet, protocol IPv4, their lengths, operation request
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1)
	frame = append(frame, mac...)
	frame = append(frame, ip...)
	frame = append(frame, 0, 0, 0, 0, 0, 0)
	frame = append(frame, ip...)
	networkOrder := binary.NativeEndian.Uint16([]byte{protocolARP >> 8, protocolARP & 0xff})
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, int(networkOrder))
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	return syscall.Sendto(socket, frame, 0, &syscall.SockaddrLinklayer{Protocol: networkOrder, Ifindex: link.Attrs().Index})
}

func parseAddress(ip, prefix string) (*netlink.Addr, error) {
	if !strings.Contains(ip, "/") {
		ip += "/" + strings.TrimPrefix(prefix, "/")
		ip = strings.TrimSuffix(ip, "/")
	}
	if !strings.Contains(ip, "/") {
		ip += "/32"
	}
	address, err := netlink.ParseAddr(ip)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", ip, err)
	}
	if address.IP.To4() == nil {
		return nil, fmt.Errorf("address %q: IPv4 only", ip)
	}
	return address, nil
}

// findLink is the named interface, or the one with the default route.
func findLink(name string) (netlink.Link, error) {
	if name != "" {
		return netlink.LinkByName(name)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, route := range routes {
		if route.Dst == nil || route.Dst.String() == "0.0.0.0/0" {
			return netlink.LinkByIndex(route.LinkIndex)
		}
	}
	return nil, fmt.Errorf("no vip_interface given and no default route")
}

func seconds(name string, fallback int) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return time.Duration(fallback) * time.Second
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		log.Fatalf("%s: not a number of seconds: %q", name, text)
	}
	return time.Duration(number) * time.Second
}

func firstOf(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

func withDefault(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
