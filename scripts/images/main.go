// Command images takes the pictures of docs/images from a running `web dev`, so that they show what the program shows.
// `make images` runs it.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// shot is one picture.
type shot struct {
	name string
	// path of the page, or a CSS selector on the page before whose link leads there.
	path, follow string
	width        int64
	height       int64
	full         bool
}

var shots = []shot{
	{name: "overview", path: "/", width: 1440, height: 1000, full: true},
	{name: "endpoints", path: "/endpoints", width: 1440, height: 700, full: true},
	{name: "endpoint", path: "/endpoints?q=Risk", follow: "#results a.lead", width: 1440, height: 1000, full: true},
	{name: "keys", path: "/endpoints?q=KYC", follow: "#results a.lead", width: 1440, height: 1000, full: true},
	{name: "deliveries", path: "/deliveries", width: 1440, height: 1000},
	{name: "delivery", path: "/deliveries?status=failed&type=verification.session.failed", follow: "#results a[href^='/deliveries/whd_']", width: 1440, height: 1000, full: true},
	{name: "event", path: "/events", follow: "#results a[href^='/events/evt_']", width: 1440, height: 1000, full: true},
	{name: "deliveries-390", path: "/deliveries", width: 390, height: 844},
}

func main() {
	binary := flag.String("web", "bin/web", "the program")
	out := flag.String("out", "docs/images", "where the pictures go")
	only := flag.String("only", "", "take only this picture")
	flag.Parse()
	if err := run(*binary, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(binary, out, only string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	data, err := os.MkdirTemp("", "kaylehooks-images-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	if err := os.Chmod(data, 0o711); err != nil { //nolint:gosec // the postgres user passes through; the servers would keep their files elsewhere
		return err
	}
	program := exec.CommandContext(ctx, binary, "dev", "--data", data)
	program.Env = append(program.Environ(), "LISTEN_ADDR=127.0.0.1:0")
	program.Stderr = os.Stderr
	program.Cancel = func() error { return program.Process.Signal(syscall.SIGTERM) }
	output, err := program.StdoutPipe()
	if err != nil {
		return err
	}
	if err := program.Start(); err != nil {
		return err
	}
	defer func() { _ = program.Process.Signal(syscall.SIGTERM); _ = program.Wait() }()
	found, err := readFacts(output)
	if err != nil {
		return err
	}
	return take(ctx, found, out, only)
}

var fact = regexp.MustCompile(`^(Dashboard|Sign in|Password)\s+(\S+)$`)

// readFacts waits until the program has said where it is and lets the stream run for a while.
func readFacts(output io.Reader) (map[string]string, error) {
	found, lines := map[string]string{}, bufio.NewScanner(output)
	const sessions = 6
	for n := 0; n < sessions && lines.Scan(); {
		if m := fact.FindStringSubmatch(lines.Text()); m != nil {
			found[m[1]] = m[2]
		}
		if strings.Contains(lines.Text(), "→ session") {
			n++
		}
	}
	if len(found) < 3 {
		return nil, fmt.Errorf("the program ended before it was ready: %w", lines.Err())
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	return found, nil
}

func take(ctx context.Context, found map[string]string, out, only string) error {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true))
	alloc, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	base := found["Dashboard"]
	// Below 900 px the navigation hides behind a button.
	if err := do(ctx, chromedp.EmulateViewport(shots[0].width, shots[0].height), chromedp.Navigate(base+"/sign-in"), chromedp.SendKeys("[name=email]", found["Sign in"]),
		chromedp.SendKeys("[name=password]", found["Password"]), chromedp.Submit("[name=password]"), chromedp.WaitVisible(".tiles")); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	for _, theme := range []string{"light", "dark"} {
		for _, s := range shots {
			if only != "" && s.name != only {
				continue
			}
			if err := takeOne(ctx, base, s, theme, out); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

func takeOne(ctx context.Context, base string, s shot, theme, out string) error {
	scheme := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, scheme); err != nil {
		return err
	}
	if err := do(ctx, chromedp.EmulateViewport(s.width, s.height), chromedp.Navigate(base+s.path), chromedp.WaitReady("h1")); err != nil {
		return err
	}
	if s.follow != "" {
		href, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("`+s.follow+`").getAttribute("href")`))
		if err != nil {
			return err
		}
		if s.name == "keys" {
			href += "/keys"
		}
		if err := do(ctx, chromedp.Navigate(base+href), chromedp.WaitReady("h1")); err != nil {
			return err
		}
	}
	picture := chromedp.CaptureScreenshot()
	if s.full {
		picture = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(ctx, picture)
	if err != nil {
		return err
	}
	name := s.name
	if theme == "dark" {
		name += "-dark"
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // pictures for everybody
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".png"), png, 0o644) //nolint:gosec // pictures for everybody
}

func do(ctx context.Context, steps ...chromedp.Action[chromedp.Void]) error {
	for _, step := range steps {
		if err := chromedp.Do(ctx, step); err != nil {
			return err
		}
	}
	return nil
}
