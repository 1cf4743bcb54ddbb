package egress

import (
	"net/netip"
	"testing"
)

func TestPermits_ContractVectors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
		"1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "192.0.1.0", "198.17.255.255", "223.255.255.255",
		"2001:200::1", "2001:db9::1", "3ffe::1", "2000::", "3fff:1000::1", "2a00:1450:4001::1",
	} {
		for _, policy := range []Policy{{}, {AllowPrivate: true}} {
			if !policy.Permits(netip.MustParseAddr(text)) {
				t.Errorf("%+v refuses %s", policy, text)
			}
		}
	}
	for text, inDevelopment := range map[string]bool{
		"10.0.0.1": true, "169.254.169.254": false, "::1": true, "fe80::1": false, "fd12::1": true, "ff02::1": false,
		"::ffff:10.0.0.1": true, "64:ff9b::a00:1": true, "64:ff9b:1::808:808": false, "2002:a00:1::1": true, "2001:0:1::1": false,
		"2001:db8::1": false, "3fff::1": false, "::7f00:1": false, "fec0::1": false,

		"0.0.0.0": false, "0.1.2.3": false, "100.64.0.1": false, "127.0.0.1": true, "127.255.255.255": true, "172.16.0.1": true,
		"172.31.255.255": true, "192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": true, "198.18.0.1": false,
		"198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.1.1.1": false,
		"240.0.0.1": false, "255.255.255.255": false, "10.255.255.255": true,
		"::": false, "::ffff:127.0.0.1": true, "::ffff:169.254.169.254": false, "::ffff:0:0": false, "2001:1ff::1": false,
		"64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false, "2002:7f00:1::": true, "64:ff9b::7f00:1": true,
		"fc00::1": true, "fe00::1": false, "fe80::1%eth0": false, "2606:4700:4700::1111%eth0": false, "4000::1": false, "1fff::1": false,
		"100::1": false, "::8.8.8.8": false, "::ffff:0:808:808": false,
	} {
		addr := netip.MustParseAddr(text)
		if (Policy{}).Permits(addr) {
			t.Errorf("permits %s", text)
		}
		if got := (Policy{AllowPrivate: true}).Permits(addr); got != inDevelopment {
			t.Errorf("with private addresses allowed, permits %s: %v, want %v", text, got, inDevelopment)
		}
	}
	if (Policy{}).Permits(netip.Addr{}) || (Policy{AllowPrivate: true}).Permits(netip.Addr{}) {
		t.Error("permits no address at all")
	}
}
