// Single-key shortcuts. Pages leave this file out for people who have switched them off.
(() => {
  const d = document, one = (q, r = d) => r.querySelector(q);
  const places = { d: "/deliveries", e: "/endpoints", k: "/api-keys", q: "/queue" };
  const say = (t) => { one("#announce").textContent = t; };
  const dialog = (url, from) => htmx.ajax("GET", url, { target: "#dialog", source: from });
  let going = 0;

  // The rows of the page's lists are walked by their leading links.
  const walk = (row, step) => {
    const links = [...d.querySelectorAll("#main tbody .lead")];
    const at = links.findIndex((l) => row?.contains(l));
    links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
  };
  const copy = async (place, lead) => {
    const b = one("[data-copy]", place);
    if (b && !lead) return b.click();
    const id = lead?.title || lead?.pathname.split("/").pop();
    if (!id) return;
    try { await navigator.clipboard.writeText(id); say("Copied " + id); } catch { getSelection().selectAllChildren(lead); say("Selected"); }
  };

  d.addEventListener("keydown", (e) => {
    const at = e.target;
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || at.closest("input, textarea, select, [contenteditable]") || one("dialog[open], [popover]:popover-open")) return;
    const row = at.closest("#main tbody tr"), here = row ?? one("#main"), key = e.key;
    const went = Date.now() - going < 1500;
    going = 0;
    if (went && places[key]) (key === "k" && one(".subnav [href$='/keys']") || one(`#nav [href="${places[key]}"]`))?.click();
    else if (key === "g") going = Date.now();
    else if (key === "j") walk(row, 1);
    else if (key === "k") walk(row, -1);
    else if (key === "c") copy(here, row && one(".lead", row));
    else if (key === "r") {
      const b = one("form[action$='/retry'] [type=submit]", here), lead = row && one("[href^='/deliveries/whd_']", row);
      if (b || lead) dialog(b ? b.form.action : lead.pathname + "/retry", b ?? lead); else say("Nothing to retry here");
    }
    else if (key === "?") dialog("/help/keyboard", at);
    else if (key === "/") one("[data-find]")?.focus();
    else return;
    e.preventDefault();
  });
})();
