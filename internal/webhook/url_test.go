package webhook

import (
	"strings"
	"testing"
)

// long is an accepted URL of exactly n characters.
func long(n int) string {
	const prefix = "https://h.example.com/"
	return prefix + strings.Repeat("a", n-len(prefix))
}

func TestNormalizeURL_ContractVectors(t *testing.T) {
	t.Parallel()
	for reason, inputs := range map[string][]string{
		ReasonLoopback: {
			"https://0x7f000001/", "https://2130706433/", "https://127.1/", "https://１２７.０.０.１/", "https://localhost/",
			"https://LocalHost./", "https://127.0.0.1.", "https://0177.0.0.1", "https://%31%32%37.0.0.1/", "https://127。0。0。1/",
			"https://localhost:22/", "https://0x7f.0x0.0x0.0x1", "https://017700000001",
		},
		ReasonIPv4Literal: {
			"https://127.0.0.2/", "https://0.0.0.0/", "https://010.0.0.1/", "https://10.0.0.1./", "https://169.254.169.254./",
			"https://8.8.8.8/", "https://0/", "https://0x/", "https://4294967295", "https://1.2.3", "https://8.8.8.8:22/",
		},
		ReasonIPv6Literal: {"https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[2606:4700:4700::1111]/", "https://[::]:22"},
		ReasonReservedHostname: {
			"https://foo.INTERNAL/", "https://single/", "https://foo.localhost./", "https://home.arpa", "https://x.test/",
			"https://x.invalid", "https://x.onion", "https://x.alt", "https://x.example", "https://x.lan", "https://x.local",
			"https://x.localdomain", "https://x.local:22", "https://single.", "https://xn--p1ai/", "https://a.ｌｏｃａｌ/",
		},
		ReasonInvalidScheme: {
			"http://localhost.:3000", "http://foo.localhost", "ftp://foo.com/", "http://h.example.com/", "HTTP://h.example.com:99",
			"foo://bar", "file:///etc/passwd", "wss://h.example.com/", "gopher://h.example.com/", "file://host/x",
		},
		ReasonCredentials: {
			"https://user@h.example.com/", "https://user:pass@h.example.com/", "https://:pass@h.example.com", "ftp://user@foo.com/",
			"https://a@b@h.example.com", "https://h.example.com@127.0.0.1/", "foo://user@bar",
		},
		ReasonPortNotAllowed: {
			"https://example.com:22/", "https://h.example.com:80/", "https://h.example.com:1023", "https://h.example.com:444",
		},
		ReasonInvalidURL: {
			"https://1.2.3.4.5/", "https://foo.123/", "https://foo.com:70000/", "https://a..b.example.com/", "https:foo.com/x",
			"", " ", "x", "https://", "https:///", "https:/foo.com", "//foo.com", "/x", "https:\\\\foo.com", "https://foo.com\\x",
			"https://foo.com/a b", "https://foo.com/a\tb", "https://foo.com/a\u00a0b", "https://foo.com/\u2028", "https://foo\n.com/",
			"https://foo.com/\x7f", "https://foo.com/\u0085x", "https://foo.com/\xff", "https://.example.com", "https://example.com..",
			"https://./", "https://foo.com:0/", "ftp://foo.com:0", "https://foo.com:8a/", "https://foo.com:-1", "https://@/",
			"https://user@/", "https://:443/", "https://[::1/", "https://[[::1]]/", "https://[::1%25eth0]/", "https://[1.2.3.4]/",
			"https://[::1]x/", "https://foo%00.com/", "https://foo%20bar.com/", "https://foo%2fbar.com", "https://%ff.com/",
			"https://a<b.com", "https://256.256.256.256", "https://1.2.3.256/x", "https://0xffffffffff/", "https://08.0.0.1/",
			"https://99999999999999999999999999/", "https://foo.0x4", "https://1..2/", "https://xn--/", "https://xn--a-ecp.ru.xn--zn7c.com\u200d/",
			"1https://foo.com", "ht tps://foo.com", "https://\u00ad/", "ftp://foo.com:70000/", "file://u@h/", "foo://a:b:c", "foo://:1",
			"https://％４１.com",
		},
		ReasonURLTooLong: {long(URLMax + 1), "\t" + long(URLMax+1), strings.Repeat("x", URLMax+1), "https://h.example.com/" + strings.Repeat("ü", 1000)},
	} {
		for _, raw := range inputs {
			if normalized, got := NormalizeURL(raw, false); got != reason || normalized != "" {
				t.Errorf("%.80q: got %q, %q; want %s", raw, normalized, got, reason)
			}
		}
	}
}

func TestNormalizeURL_Accepted(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://10.0.0.1.nip.io/":                        "https://10.0.0.1.nip.io/",
		"  https://Hooks.Example.COM:443/a/../b?x=1#f  ":  "https://hooks.example.com/b?x=1",
		"https://hooks.example.com":                       "https://hooks.example.com/",
		"https://bücher.example.com/x":                    "https://xn--bcher-kva.example.com/x",
		"\r\n\thttps://h.example.com\f":                   "https://h.example.com/",
		"HTTPS://h.example.com.":                          "https://h.example.com/",
		"https://h.example.com.:8443/x":                   "https://h.example.com:8443/x",
		"https://h.example.com:":                          "https://h.example.com/",
		"https://h.example.com:00443/":                    "https://h.example.com/",
		"https://h.example.com:1024?":                     "https://h.example.com:1024/?",
		"https://h.example.com:65535#":                    "https://h.example.com:65535/",
		"https://h.example.com?a=b/c?d#e?f":               "https://h.example.com/?a=b/c?d",
		"https:////h.example.com//a//b":                   "https://h.example.com//a//b",
		"https://@h.example.com/":                         "https://h.example.com/",
		"https://:@h.example.com/":                        "https://h.example.com/",
		"https://h.example.com/./a/%2E%2e/%2e/b/.":        "https://h.example.com/b/",
		"https://h.example.com/../../a/..":                "https://h.example.com/",
		"https://h.example.com/100%/%zz/%41":              "https://h.example.com/100%/%zz/%41",
		"https://h.example.com/ü\"<>`{}^|'[]?ü\"<>'`{}^|": "https://h.example.com/%C3%BC%22%3C%3E%60%7B%7D%5E|'[]?%C3%BC%22%3C%3E%27`{}^|",
		"https://faß.example.com/":                        "https://xn--fa-hia.example.com/",
		"https://h。example．com/":                          "https://h.example.com/",
		"https://h%2Eexample.com/":                        "https://h.example.com/",
		"https://under_score.example.com/":                "https://under_score.example.com/",
		"https://bü_cher.example.com/":                    "https://xn--b_cher-3ya.example.com/",
		"https://a--b.-x-.example.com/":                   "https://a--b.-x-.example.com/",
		"https://+1.h.example.com/":                       "https://+1.h.example.com/",
		"https://test.example.com/localhost":              "https://test.example.com/localhost",
		"https://1.2.3.4.example.com/":                    "https://1.2.3.4.example.com/",
		"https://h.example.com/https://user:pass@x":       "https://h.example.com/https://user:pass@x",
		long(URLMax):                        long(URLMax),
		" " + long(URLMax) + " ":            long(URLMax),
		"https://xn--bcher-kva.EXAMPLE.com": "https://xn--bcher-kva.example.com/",
		"https://h.example.com/?q=a%20b&x=" + "%E2%82%AC#x#y?z": "https://h.example.com/?q=a%20b&x=%E2%82%AC",
	} {
		if got, reason := NormalizeURL(raw, false); got != want || reason != "" {
			t.Errorf("%q:\n got %q, %q\nwant %q", raw, got, reason, want)
		}
		if got, reason := NormalizeURL(want, false); got != want || reason != "" {
			t.Errorf("%q is not stable: %q, %q", want, got, reason)
		}
	}
}

func TestNormalizeURL_AllowPrivateRelaxesHostsSchemeAndPortOnly(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://localhost.:3000":          "http://localhost:3000/",
		"http://localhost:80":             "http://localhost/",
		"https://x.test:22/":              "https://x.test:22/",
		"http://receiver:1/x":             "http://receiver:1/x",
		"https://0x7f000001/":             "https://127.0.0.1/",
		"http://10.0.0.1.:8080":           "http://10.0.0.1:8080/",
		"http://[::FFFF:127.0.0.1]:9/":    "http://[::ffff:7f00:1]:9/",
		"http://[0:0:0:1:0:0:0:1]":        "http://[::1:0:0:0:1]/",
		"http://[1:2:3:4:5:6:7::]/":       "http://[1:2:3:4:5:6:7:0]/",
		"https://h.example.com:443/a/../": "https://h.example.com/",
	} {
		if got, reason := NormalizeURL(raw, true); got != want || reason != "" {
			t.Errorf("%q: got %q, %q; want %q", raw, got, reason, want)
		}
	}
	for raw, want := range map[string]string{
		"ftp://localhost/":            ReasonInvalidScheme,
		"http://u@localhost/":         ReasonCredentials,
		"http://localhost:0/":         ReasonInvalidURL,
		"http://localhost:65536/":     ReasonInvalidURL,
		"http://a..b/":                ReasonInvalidURL,
		"http://localhost/a b":        ReasonInvalidURL,
		long(URLMax + 1):              ReasonURLTooLong,
		"http://[1:2:3:4::5:6:7:8]/":  ReasonInvalidURL,
		"http://[::01.2.3.4]/":        ReasonInvalidURL,
		"http://[12345::]/":           ReasonInvalidURL,
		"http://[::1.2.3.4.5]/":       ReasonInvalidURL,
		"http://[1:2:3:4:5:6:7:8:9]/": ReasonInvalidURL,
	} {
		if got, reason := NormalizeURL(raw, true); reason != want {
			t.Errorf("%q: got %q, %q; want %s", raw, got, reason, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://h.example.com/secret?token=1":   "https://h.example.com",
		"https://h.example.com:8443/":            "https://h.example.com:8443",
		"https://h.example.com?token=1":          "https://h.example.com",
		"https://h.example.com#token":            "https://h.example.com",
		"https://user:pass@h.example.com/x@y":    "https://h.example.com",
		"http://[::1]:8080/x":                    "http://[::1]:8080",
		"nonsense":                               "",
		"":                                       "",
		"://x":                                   "",
		"https://":                               "",
		"https:///path":                          "",
		"https://h.example.com\\secret":          "https://h.example.com",
		"https://h.example.com/x?u=https://y/z":  "https://h.example.com",
		"https://h.example.com?u=https://y@z/zz": "https://h.example.com",
	} {
		if got := Origin(url); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}

func FuzzNormalizeURL(f *testing.F) {
	for _, s := range []string{
		"https://hooks.example.com/a/../b?x=1#f", "https://0x7f000001/", "https://[::ffff:127.0.0.1]:1/", "http://bücher.test.:80",
		"https://user:pw@h/%2e%2E/", "https://１２７.０.０.１/", "foo://bar:1", "https://a%00b/", "https:////x//..//y?'#",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, raw string, allowPrivate bool) {
		got, reason := NormalizeURL(raw, allowPrivate)
		if (got == "") == (reason == "") {
			t.Fatalf("%q: %q and %q", raw, got, reason)
		}
		if reason != "" {
			return
		}
		if again, reason := NormalizeURL(got, allowPrivate); again != got || reason != "" {
			t.Fatalf("%q became %q, then %q, %q", raw, got, again, reason)
		}
		if strings.ContainsAny(got, " \t\r\n\\#@") && strings.ContainsAny(Origin(got), " \t\r\n\\#@") || len(got) > URLMax {
			t.Fatalf("%q became %q", raw, got)
		}
	})
}
