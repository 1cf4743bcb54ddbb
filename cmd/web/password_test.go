package main_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"kaylehooks/internal/devstack/devtest"
)

// person is a browser with cookies of its own.
type person struct {
	t    *testing.T
	http *http.Client
	base string
}

func (i *installation) person() *person { return &person{i.t, newBrowserClient(i.t), i.base} }

// load follows redirects to a page, after posting the form, if there is one. It returns where that was and what it shows.
func (p *person) load(path string, form url.Values) (where, page string) {
	p.t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.Request.URL.Path, string(body)
}

// signsIn reports whether the password is the right one.
func (p *person) signsIn(email, password string) bool {
	p.t.Helper()
	_, page := p.load("/sign-in", nil)
	where, _ := p.load("/sign-in", signInForm(p.t, page, email, password))
	return where == "/"
}

// signInForm fills the form of the sign-in page.
func signInForm(t *testing.T, page, email, password string) url.Values {
	t.Helper()
	token := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`).FindStringSubmatch(page)
	if token == nil {
		t.Fatalf("the sign-in page has no form: %s", page)
	}
	return url.Values{"csrf_token": {html.UnescapeString(token[1])}, "email": {email}, "password": {password}, "next": {"/"}}
}

// A password that is given on standard input is the one that counts, and is not printed. One that is made is printed, once.
func TestPasswords_AreReadFromStandardInput(t *testing.T) {
	t.Parallel()
	const email, first, second = "owner@example.com", "the first of the passwords", "the second of the passwords"
	i := configure(t, "DATABASE_URL="+devtest.Database(t), "REDIS_URL="+devtest.Redis(t), masterKeys("m1"))
	given := func(password string, args ...string) (stdout, stderr string, code int) {
		p := i.command(append(args, "--password-stdin")...)
		p.Stdin = strings.NewReader(password)
		return p.Finish()
	}
	setup := []string{"setup", "--org", "Fjordpay", "--email", email, "--json"}
	for name, password := range map[string]string{"nothing": "", "an empty line": "\r\n", "too short": "short\n"} {
		if out, stderr, code := given(password, setup...); code != 2 || out != "" || !strings.Contains(stderr, "password") {
			t.Errorf("setup with %s: %d, %s%s", name, code, out, stderr)
		}
	}
	out, stderr, code := given(first+"\r\n", setup...)
	if code != 0 || !strings.Contains(out, `"api_key":"kk_`) || strings.Contains(out, `"password"`) || strings.Contains(out+stderr, first) {
		t.Fatalf("setup: %d, %s%s", code, out, stderr)
	}
	i.web()
	before := i.person()
	if !before.signsIn(email, first) {
		t.Error("the password of setup does not open the dashboard")
	}

	reset := []string{"reset-password", "--email", "Owner@Example.com"}
	for name, password := range map[string]string{"nothing": "", "too short": "short\n"} {
		if out, stderr, code := given(password, reset...); code != 2 || out != "" || !strings.Contains(stderr, "password") {
			t.Errorf("reset with %s: %d, %s%s", name, code, out, stderr)
		}
	}
	if where, _ := before.load("/", nil); where != "/" {
		t.Error("a reset that was refused signed out")
	}
	if out, stderr, code := given(second+"\n", reset...); code != 0 || !strings.Contains(out, "sign in as    "+email+"\n") || strings.Contains(out+stderr, second) {
		t.Errorf("reset: %d, %s%s", code, out, stderr)
	}
	if where, _ := before.load("/", nil); where != "/sign-in" {
		t.Errorf("after the reset a browser is still signed in: it is at %s", where)
	}
	opens := func(what, good, bad string) {
		t.Helper()
		if i.person().signsIn(email, bad) || !i.person().signsIn(email, good) {
			t.Errorf("%s: the password does not open the dashboard, or the former one still does", what)
		}
	}
	opens("given", second, first)
	var made struct{ Email, Password string }
	decode(t, i.command(append(reset, "--json")...).Succeed(), &made)
	opens("made", made.Password, second)
	if made.Email != email {
		t.Errorf("reset printed %+v", made)
	}
}
