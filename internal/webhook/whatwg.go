package webhook

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// whatwgURL is the result of the URL algorithm of the WHATWG standard (https://url.spec.whatwg.org), without fragment.
type whatwgURL struct {
	scheme      string
	credentials bool   // a user name or password that is not empty
	host        string // ASCII, lower case; IPv4 in dotted decimal, IPv6 in brackets
	port        string // "" for the default one of the scheme
	path        string // percent-encoded, begins with a slash
	query       string // with its question mark, or ""
}

// String is the URL's serialisation; for the scheme of an endpoint only, since the path of others is not kept.
func (u whatwgURL) String() string {
	s := u.scheme + "://" + u.host
	if u.port != "" {
		s += ":" + u.port
	}
	return s + u.path + u.query
}

// defaultPorts lists the special schemes, whose hosts are domains or addresses.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21", "file": ""}

// parseWHATWG carries out the algorithm for an absolute URL that wellFormed let through: so it has "://", and nothing
// in it needs to be stripped or turned around first. ok is false where the standard says failure.
func parseWHATWG(raw string) (u whatwgURL, ok bool) {
	scheme, rest, _ := strings.Cut(raw, "://")
	u.scheme = strings.ToLower(scheme)
	defaultPort, special := defaultPorts[u.scheme]
	if special && u.scheme != "file" {
		rest = strings.TrimLeft(rest, "/") // "special authority ignore slashes state"
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	rest = rest[len(authority):]

	if u.scheme == "file" { // no user, no port: their separators are no part of a host
		u.host, ok = parseHost(authority, true)
		return u, ok || authority == ""
	}
	hostPort := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hostPort = authority[i+1:]
		u.credentials = i > 0 && authority[:i] != ":"
		if hostPort == "" {
			return whatwgURL{}, false
		}
	}
	host, port, ok := splitPort(hostPort)
	if !ok || host == "" && (special || port != "") {
		return whatwgURL{}, false
	}
	if u.host, ok = parseHost(host, special); !ok && host != "" {
		return whatwgURL{}, false
	}
	if u.port = port; port == defaultPort {
		u.port = ""
	}
	if special {
		u.path, u.query = parsePath(rest)
	}
	return u, true
}

// splitPort cuts host:port at the first colon outside brackets. The port loses leading zeros; an empty one is none.
func splitPort(s string) (host, port string, ok bool) {
	inside := false
	for i, c := range []byte(s) {
		switch {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		case c == ':' && !inside:
			host, port = s[:i], s[i+1:]
			if host == "" {
				return "", "", false
			}
			if port == "" {
				return host, "", true
			}
			if strings.Trim(port, "0123456789") != "" {
				return "", "", false
			}
			n, err := strconv.ParseUint(port, 10, 16)
			return host, strconv.FormatUint(n, 10), err == nil
		}
	}
	return s, "", true
}

// Code points that no host may contain. Controls and spaces have been refused, but may come back percent-decoded.
const (
	forbiddenHost   = "\x00\t\n\r #/:<>?@[\\]^|"
	forbiddenDomain = forbiddenHost + "%\x7f"
)

// hostProfile is "domain to ASCII" with beStrict false: nontransitional UTS 46, no hyphen, length or ASCII rules.
var hostProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.ValidateLabels(true),
	idna.CheckHyphens(false), idna.StrictDomainName(false), idna.VerifyDNSLength(false), idna.Transitional(false))

// parseHost is the host parser of the standard.
func parseHost(s string, special bool) (string, bool) {
	if inner, bracket := strings.CutPrefix(s, "["); bracket {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		return "[" + formatIPv6(addr) + "]", true
	}
	if !special { // an opaque host; its percent-encoding does not matter, the scheme will be refused
		return s, s != "" && !strings.ContainsAny(s, forbiddenHost)
	}
	domain := percentDecode(s)
	if !utf8.ValidString(domain) {
		return "", false
	}
	ascii, ok := domainToASCII(domain)
	if !ok || ascii == "" || strings.ContainsAny(ascii, forbiddenDomain) ||
		strings.ContainsFunc(ascii, func(r rune) bool { return r < 0x20 }) {
		return "", false
	}
	if endsInNumber(ascii) {
		return parseIPv4(ascii)
	}
	return ascii, true
}

// domainToASCII only lowers plain ASCII names, as the standard says: the library refuses some of them, for instance
// for a mapping table older than a code point.
func domainToASCII(domain string) (string, bool) {
	plain := strings.IndexFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
	lower := strings.ToLower(domain)
	if plain && !strings.HasPrefix(lower, "xn--") && !strings.Contains(lower, ".xn--") {
		return lower, true
	}
	ascii, err := hostProfile.ToASCII(domain)
	return ascii, err == nil
}

// formatIPv6 is the IPv6 serializer, which has no dotted form for IPv4-mapped addresses.
func formatIPv6(addr netip.Addr) string {
	if addr.Is4In6() {
		b := addr.As16()
		return fmt.Sprintf("::ffff:%x:%x", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
	}
	return addr.String()
}

// endsInNumber is the "ends in a number" checker: such a host is an IPv4 address or nothing.
func endsInNumber(host string) bool {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := parts[len(parts)-1]
	if last != "" && strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, ok := parseIPv4Number(last)
	return ok
}

// parseIPv4 is the IPv4 parser: up to four decimal, octal or hexadecimal parts, the last of which fills what is left.
func parseIPv4(host string) (string, bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return "", false
	}
	var addr uint64
	for i, part := range parts {
		n, ok := parseIPv4Number(part)
		if !ok {
			return "", false
		}
		if i == len(parts)-1 {
			if n >= 1<<(8*(5-len(parts))) {
				return "", false
			}
			addr |= n
			break
		}
		if n > 255 {
			return "", false
		}
		addr |= n << (8 * (3 - i))
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}).String(), true
}

// parseIPv4Number reads one part. A number that is out of every range is a number still, so it is capped, not refused.
func parseIPv4Number(s string) (uint64, bool) {
	if s == "" {
		return 0, false
	}
	digits, base := "0123456789", 10
	if rest, hex := strings.CutPrefix(strings.ToLower(s), "0x"); hex {
		s, digits, base = rest, "0123456789abcdefABCDEF", 16
	} else if len(s) > 1 && s[0] == '0' {
		s, digits, base = s[1:], "01234567", 8
	}
	if strings.Trim(s, digits) != "" {
		return 0, false
	}
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		n = 1 << 40
	}
	return n, true
}

func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// What is percent-encoded besides controls and everything beyond ASCII.
const (
	queryEncodeSet = " \"#<>'" // of special schemes
	pathEncodeSet  = " \"#<>?^`{}"
)

// parsePath reads what follows the authority: path, query and, to be dropped, fragment.
func parsePath(s string) (path, query string) {
	s, _, _ = strings.Cut(s, "#")
	s, query, hasQuery := strings.Cut(s, "?")
	if hasQuery {
		query = "?" + percentEncode(query, queryEncodeSet)
	}
	var segments []string
	parts := strings.Split(strings.TrimPrefix(s, "/"), "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch strings.ReplaceAll(strings.ToLower(part), "%2e", ".") {
		case "..":
			segments = segments[:max(len(segments)-1, 0)]
			if last {
				segments = append(segments, "")
			}
		case ".":
			if last {
				segments = append(segments, "")
			}
		default:
			segments = append(segments, percentEncode(part, pathEncodeSet))
		}
	}
	return "/" + strings.Join(segments, "/"), query
}

func percentEncode(s, set string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e || strings.IndexByte(set, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
