package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// axePath is axe-core, as package-lock.json pins it; `make examples` installs it.
const axePath = "testdata/node_modules/axe-core/axe.min.js"

// lookScript is what a page is asked at every size and in both themes.
const lookScript = `(async (part, rules) => {
	const all = (q) => [...document.querySelectorAll(q)];
	const said = (e) => (e.id ? "#" + e.id : e.className ? e.localName + "." + e.className : e.localName);
	const problems = [];
	const h1 = all("h1");
	if (h1.length !== 1) problems.push(h1.length + " h1: " + h1.map((e) => e.innerText).join(", "));
	const ids = all("[id]").map((e) => e.id), twice = ids.filter((id, n) => ids.indexOf(id) !== n);
	if (twice.length) problems.push("ids given twice: " + twice);
	const wide = document.documentElement.scrollWidth - innerWidth;
	if (wide > 0) problems.push("scrolls sideways by " + wide + " px because of " + all("main *").filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre, [tabindex='0']")).slice(0, 4).map(said));
	const y = scrollY;
	scrollTo({ top: 0, behavior: "instant" }); // where a page happens to be scrolled to, the bar at its top covers half of a line
	const found = rules ? await axe.run(part, { resultTypes: ["violations"], preload: false, elementRef: false, ...rules }) : { violations: [] };
	scrollTo({ top: y, behavior: "instant" });
	for (const v of found.violations) for (const n of v.nodes.slice(0, 4)) problems.push("axe " + v.id + " (" + v.help + "): " + n.target + " " + n.html.slice(0, 160) + " " + [...n.any, ...n.all, ...n.none].map((c) => c.message).join("; ").slice(0, 300));
	return { title: document.title, heading: h1[0]?.innerText ?? "", problems };
})`

// What axe-core looks for. At one width the theme changes nothing but colours, and those are the same at every width: each
// width has every rule once, themes taking turns, and the colours of both themes are looked at.
const (
	everyRule = `{ rules: { "target-size": { enabled: true } } }`
	colours   = `{ runOnly: ["color-contrast", "link-in-text-block"] }`
	noRule    = `null`
)

func rules(s size, th theme) string {
	switch {
	case (th == dark) == (s == tablet):
		return everyRule
	case s == desk:
		return colours
	}
	return noRule
}

// seen is what the page answered.
type seen struct {
	Title, Heading string
	Problems       []string
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// check looks at the page that is open, at every size and in both themes. The name says which page it is, in which state.
func (b *tab) check(name string) {
	b.t.Helper()
	b.checkPart(name, "html")
}

// checkPart is check where a part of the page covers the rest of it: axe-core looks at that part only.
func (b *tab) checkPart(name, part string) {
	b.t.Helper()
	b.suite.routes.looked(b.path())
	b.inspect(name)
	told := map[string]bool{}
	for _, s := range []size{desk, tablet, phone} {
		for _, th := range []theme{light, dark} {
			b.view(s, th)
			got := b.look(part, rules(s, th))
			for _, problem := range got.Problems {
				if !told[problem] { // once is enough
					told[problem] = true
					b.t.Errorf("%s at %s, %s px, %s: %s", name, b.path(), s.name, th, problem)
				}
			}
			b.shoot(name, s, th)
			if s == desk && th == light && b.document.plain() {
				b.suite.titled(b.t, b.path(), got.Title)
			}
		}
	}
	b.view(desk, light)
	b.quiet(name)
}

// look looks at a part of the page; one that has loaded itself anew is given axe-core again.
func (b *tab) look(part, rules string) seen {
	b.t.Helper()
	for {
		if got := ask[*seen](b, fmt.Sprintf(`typeof axe === "undefined" ? null : %s(%q, %s)`, lookScript, part, rules)); got != nil {
			return *got
		}
		b.do("axe", chromedp.Evaluate[chromedp.Void](b.suite.axe))
	}
}

// asks opens a confirmation by its link: the dialog holds the focus, Escape closes it and gives the focus back. Then it opens
// the page that the confirmation is without scripting, and stays there.
func (b *tab) asks(name, selector, label string) {
	b.t.Helper()
	opener := b.find(selector, label)
	page := ask[string](b, string(opener)+`.getAttribute("href")`)
	b.do("open the dialog", chromedp.Click(opener), chromedp.WaitVisible("#dialog form"))
	b.holds(name, opener)
	b.visit(page)
	b.check(name)
}

// holds looks at the open dialog and closes it.
func (b *tab) holds(name string, opener chromedp.JSPath) {
	b.t.Helper()
	b.checkPart(name+", dialog", "#dialog")
	inside := func() bool { return ask[bool](b, `document.querySelector("#dialog").contains(document.activeElement)`) }
	if !inside() {
		b.t.Errorf("%s: the dialog has not got the focus", name)
	}
	for n := 0; n < 8 || !inside(); n++ { // after the last stop comes the browser itself, which has no element
		b.do("tab", chromedp.KeyEvent(kb.Tab))
		if !inside() && !ask[bool](b, `document.activeElement === document.body`) {
			b.t.Errorf("%s: the focus leaves the dialog for %s", name, ask[string](b, `document.activeElement.outerHTML.slice(0, 120)`))
		}
	}
	b.do("close the dialog", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("#dialog[open]"))
	if !ask[bool](b, `document.activeElement === `+string(opener)) {
		b.t.Errorf("%s: closing the dialog leaves the focus at %s", name, ask[string](b, `document.activeElement.outerHTML.slice(0, 120)`))
	}
}

// shoot takes a picture for a person to look at, when asked for.
func (b *tab) shoot(name string, s size, th theme) {
	b.t.Helper()
	dir := os.Getenv("KAYLEHOOKS_PICTURES")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	file := notName.ReplaceAllString(strings.ToLower(name), "-") + "-" + s.name + "-" + string(th) + ".png"
	if err := os.WriteFile(filepath.Join(dir, file), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
