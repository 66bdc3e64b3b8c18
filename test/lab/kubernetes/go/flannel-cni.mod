module runbook.test/lab

go 1.25.0

godebug default=go1.24

require (
	github.com/containernetworking/plugins v0.9.1
)

replace (
	github.com/vishvananda/netlink => github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns => github.com/vishvananda/netns v0.0.5
	golang.org/x/sys => golang.org/x/sys v0.31.0
)
