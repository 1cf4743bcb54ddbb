package webhook

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// URLMax is the greatest length of an endpoint URL in characters.
const URLMax = 2048

// Reason codes of NormalizeURL (contract section 5.2), in the order in which they are looked for.
const (
	ReasonURLTooLong       = "url_too_long"
	ReasonInvalidURL       = "invalid_url"
	ReasonCredentials      = "credentials_in_url"
	ReasonInvalidScheme    = "invalid_scheme"
	ReasonLoopback         = "loopback_not_allowed"
	ReasonIPv4Literal      = "ipv4_literal_disallowed"
	ReasonIPv6Literal      = "ipv6_literal_disallowed"
	ReasonReservedHostname = "reserved_hostname_disallowed"
	ReasonPortNotAllowed   = "port_not_allowed"
)

// reservedLabels are the last labels of names that never belong to a public host.
var reservedLabels = map[string]bool{
	"alt": true, "arpa": true, "example": true, "internal": true, "invalid": true, "lan": true, "local": true,
	"localdomain": true, "localhost": true, "onion": true, "test": true,
}

// asciiSpace is what is trimmed from both ends of an input.
const asciiSpace = "\t\n\f\r "

// NormalizeURL judges an endpoint URL by contract section 5.2 and returns the form that is stored and sent to, or the
// reason code of the first rule it breaks. An accepted result is itself accepted, unchanged. It resolves no names:
// what an address policy refuses is refused at connect time. allowPrivate is ALLOW_PRIVATE_ENDPOINTS.
func NormalizeURL(raw string, allowPrivate bool) (normalized, reason string) {
	raw = strings.Trim(raw, asciiSpace)
	if utf8.RuneCountInString(raw) > URLMax {
		return "", ReasonURLTooLong
	}
	if !wellFormed(raw) {
		return "", ReasonInvalidURL
	}
	u, ok := parseWHATWG(raw)
	if !ok {
		return "", ReasonInvalidURL
	}
	host := strings.TrimSuffix(u.host, ".")
	if emptyLabel(u.host, host) || u.port == "0" {
		return "", ReasonInvalidURL
	}
	if u.credentials {
		return "", ReasonCredentials
	}
	if u.scheme != "https" && (u.scheme != "http" || !allowPrivate) {
		return "", ReasonInvalidScheme
	}
	if !allowPrivate {
		if reason := judgeHost(host); reason != "" {
			return "", reason
		}
		if !publicPort(u.port) {
			return "", ReasonPortNotAllowed
		}
	}
	u.host = host
	normalized = u.String()
	if len(normalized) > URLMax { // percent-encoding makes it longer, and every attempt judges it again
		return "", ReasonURLTooLong
	}
	return normalized, ""
}

// Origin returns scheme://host[:port], the only part of an endpoint URL that may be logged or audited; "" when the
// text has no such part.
func Origin(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme == "" {
		return ""
	}
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if rest == "" {
		return ""
	}
	return scheme + "://" + rest
}

// wellFormed refuses what the WHATWG algorithm would silently repair: it strips line breaks, turns backslashes into
// slashes, and adds missing slashes.
func wellFormed(raw string) bool {
	if !utf8.ValidString(raw) {
		return false
	}
	for _, r := range raw {
		if r == '\\' || unicode.IsControl(r) || unicode.IsSpace(r) {
			return false
		}
	}
	scheme, _, ok := strings.Cut(raw, "://")
	if !ok || scheme == "" {
		return false
	}
	for i, c := range []byte(scheme) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return true
}

// emptyLabel reports an empty label in a host. A host that is altogether absent, as in file:///x, has no label.
func emptyLabel(full, trimmed string) bool {
	return full != "" && (trimmed == "" || strings.HasPrefix(trimmed, ".") || strings.HasSuffix(trimmed, ".") ||
		strings.Contains(trimmed, ".."))
}

// judgeHost applies the host rules of production to a host in WHATWG form, where every spelling of an IPv4 address
// has already become dotted decimal.
func judgeHost(host string) string {
	if host == "localhost" || host == "127.0.0.1" {
		return ReasonLoopback
	}
	if strings.HasPrefix(host, "[") {
		return ReasonIPv6Literal
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ReasonIPv4Literal
	}
	if i := strings.LastIndexByte(host, '.'); i < 0 || reservedLabels[host[i+1:]] {
		return ReasonReservedHostname
	}
	return ""
}

// publicPort is PORTS: 443 or 1024 to 65535; an empty port is the default one.
func publicPort(port string) bool {
	n, err := strconv.Atoi(port)
	return port == "" || err == nil && (n == 443 || n >= 1024 && n <= 65535)
}
