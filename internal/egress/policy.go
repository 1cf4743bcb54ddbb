package egress

import "net/netip"

// Policy says which addresses may be connected to (contract section 7.5).
type Policy struct {
	// AllowPrivate is ALLOW_PRIVATE_ENDPOINTS: it additionally permits loopback, RFC 1918 and fc00::/7, and plain http.
	AllowPrivate bool
}

// prefixes are ranges of addresses of one family.
type prefixes []netip.Prefix

func (p prefixes) contain(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func mustPrefixes(texts ...string) prefixes {
	p := make(prefixes, len(texts))
	for i, text := range texts {
		p[i] = netip.MustParsePrefix(text)
	}
	return p
}

var (
	refusedIPv4 = mustPrefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
	)
	private     = mustPrefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
	globalIPv6  = mustPrefixes("2000::/3")
	refusedIPv6 = mustPrefixes("2001::/23", "2001:db8::/32", "3fff::/20")

	nat64     = mustPrefixes("64:ff9b::/96")
	sixToFour = mustPrefixes("2002::/16")
)

// Permits reports whether addr may be connected to. Addresses that carry an IPv4 address inside are judged by it: that
// is where a packet to them ends up. An address with a zone is link-local by nature and never permitted.
func (p Policy) Permits(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = innermost(addr)
	if p.AllowPrivate && private.contain(addr) {
		return true
	}
	if addr.Is4() {
		return !refusedIPv4.contain(addr)
	}
	return globalIPv6.contain(addr) && !refusedIPv6.contain(addr)
}

// innermost returns the IPv4 address inside a mapped, NAT64 or 6to4 address, and any other address as it is.
func innermost(addr netip.Addr) netip.Addr {
	b := addr.As16()
	switch {
	case addr.Is4In6():
		return addr.Unmap()
	case nat64.contain(addr):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.contain(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}
