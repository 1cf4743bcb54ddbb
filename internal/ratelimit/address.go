package ratelimit

import (
	"net/netip"
	"strings"
)

// Address is the subject for a client address: an IPv4 address by itself, IPv6 by its /64, since one customer commonly
// has that many.
func Address(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}

// ClientIP is who made a request: the socket's peer, or with hops = n > 0 trusted proxies the n-th address from the right
// of the X-Forwarded-For headers. A header with fewer addresses, or something else in that place, did not come through
// the proxies; then it is the peer. The zero Addr means that the peer has no address (a unix socket).
func ClientIP(remoteAddr string, forwardedFor []string, hops int) netip.Addr {
	if hops > 0 {
		chain := strings.Split(strings.Join(forwardedFor, ","), ",")
		if n := len(chain) - hops; n >= 0 {
			if ip, ok := parseIP(strings.TrimSpace(chain[n])); ok {
				return ip
			}
		}
	}
	ip, _ := parseIP(remoteAddr)
	return ip
}

// parseIP reads an address with or without a port.
func parseIP(s string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().Unmap(), true
	}
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}
