// Pages work without.
(() => {
  const d = document, all = (q, r = d) => r.querySelectorAll(q), one = (q, r = d) => r.querySelector(q);
  const on = (name, f) => d.addEventListener(name, f);
  const announce = (t) => { const p = one("#announce"); if (p) p.textContent = t; };

  // The zone of "local" times.
  d.cookie = `kaylehooks-zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;max-age=9999999;samesite=lax`;

  // Scripting only.
  const ready = () => {
    for (const b of all("[data-copy], [data-dismiss], [data-all]")) b.hidden = false;
    for (const t of all("[data-fade]")) setTimeout(() => t.matches(":hover, :focus-within") || t.remove(), 6e3);
    const f = one("[data-focus]");
    if (f) { f.focus(); delete f.dataset.focus; }
  };

  // HTTP has no clipboard.
  const copy = async (b) => {
    const label = one("[data-copy-label]", b), { title } = b, was = label?.textContent;
    const say = (t, l = t) => { b.title = t; if (label) label.textContent = l; };
    try {
      await navigator.clipboard.writeText(b.dataset.copy);
      announce("Copied");
      if (title == "Copied") return;
      say("Copied");
      setTimeout(say, 2e3, title, was);
    } catch {
      const near = one(".id, .hash, output, pre", b.parentElement);
      if (near) getSelection().selectAllChildren(near);
      announce("Selected");
    }
  };
  on("click", (e) => {
    const b = e.target.closest("[data-copy], [data-dismiss]");
    if (b) b.dataset.copy ? copy(b) : b.closest(".toast").remove();
    if (box?.open && e.target.closest("[data-back]")) { e.preventDefault(); box.close(); }
    for (const m of all("[data-menu][open]")) m.open = m.contains(e.target);
  });

  on("change", ({ target: t }) => {
    const a = one("[data-all]");
    if (!a) return;
    if (t === a) for (const c of all(".pick [name]:enabled")) c.checked = t.checked;
    else a.checked = false;
    one(".bulk strong").textContent = all(".pick [name]:checked").length + " chosen";
  });

  on("keydown", (e) => {
    if (e.key === "Escape" && !box?.open) for (const m of all("[data-menu][open]")) { m.open = false; m.firstElementChild.focus(); }
  });

  // The dialog gives the focus back.
  const box = one("#dialog");
  let opener;
  box?.addEventListener("close", () => { box.replaceChildren(); opener.focus(); });

  // Times tick, as ui.Span says.
  const two = (n) => `${n}`.padStart(2, 0), by = (n, m) => Math.trunc(n / m);
  const span = (s) => s < 60 ? s + " s" : s < 3600 ? by(s, 60) + " min"
    : s < 86400 ? by(s, 3600) + " h " + two(by(s % 3600, 60)) + " m" : by(s, 86400) + " d " + by(s % 86400, 3600) + " h";
  setInterval(() => {
    if (!d.hidden) for (const t of all("time[data-rel]")) {
      const s = Math.round((Date.now() - new Date(t.dateTime)) / 1000), next = t.dataset.next ??= /^in /.test(t.textContent) ? 1 : "";
      t.textContent = s < 0 ? "in " + span(-s) : next ? "now" : span(s) + " ago";
    }
  }, 1000);

  // One request a click.
  on("submit", (e) => {
    if (!e.defaultPrevented && e.target.method === "post") setTimeout(() => { for (const b of all("[type=submit]", e.target)) b.disabled = true; });
  });
  addEventListener("pageshow", (e) => { if (e.persisted) for (const b of all("[type=submit]")) b.disabled = false; });

  // No empty filters, no hidden polls.
  const live = (stale, date) => {
    const l = one("[data-live]");
    if (!l) return;
    const { dataset: { live }, children: [t, at] } = l, n = new Date(date);
    l.classList.toggle("live-stale", stale);
    t.textContent = stale ? "Retrying, last updated" : live;
    if (date && live[0] === "L") at.textContent = at.title = (/Z$/.test(at.dateTime) ? n.toISOString().slice(11) : n.toTimeString()).slice(0, 8);
  };
  on("htmx:config:request", (e) => {
    const { sourceEvent, sourceElement, request } = e.detail.ctx;
    if (sourceEvent?.type === "every" && (d.hidden || box?.open)) return e.preventDefault();
    if (sourceElement.matches("[data-filters]")) for (const [k, v] of [...request.body]) if (v === "") request.body.delete(k);
  });
  const busy = (yes) => ({ target: t }) => { (t.matches?.("[data-filters]") && one("#results") || t).ariaBusy = yes; };
  on("htmx:before:request", busy(true));
  on("htmx:finally:request", busy(false));
  // Without a dialog, the page.
  const failed = ({ detail: { ctx } }) => { live(true); if (ctx?.target === box) location = ctx.request.action; };
  on("htmx:after:request", (e) => { const r = e.detail.ctx.response; r?.status >= 500 ? failed(e) : live(false, r?.headers.get("date")); });
  on("htmx:error", (e) => {
    failed(e);
    if (e.detail.ctx?.sourceEvent.type !== "every") one("#toasts").replaceChildren(one("#away").content.cloneNode(true));
    ready();
  });
  // Signed out meanwhile.
  on("lost", ({ target: t }) => t.submit?.());
  on("htmx:after:swap", ({ detail: { ctx } }) => {
    if (ctx.target.id === "results") announce(one("#results > .vh")?.textContent);
    if (ctx.target === box && !box.open) { opener = ctx.sourceElement; box.setAttribute("aria-labelledby", "dialog-t"); box.showModal(); }
    ready();
  });
  ready();
})();
