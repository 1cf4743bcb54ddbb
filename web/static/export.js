// Exports say how far they are and can be stopped. Without scripting the link downloads as it is.
(() => {
  const d = document, toasts = d.querySelector("#toasts");
  const make = (name, text, to, cls = "") => { const n = d.createElement(name); n.textContent = text; if (cls) n.className = cls; to.append(n); return n; };
  const count = (n) => n.toLocaleString("en-US");
  d.addEventListener("click", async (e) => {
    const a = e.target.closest("a[data-export]");
    if (!a) return;
    // As it is filtered now.
    a.search = location.search + (a.search.includes("jsonl") ? "&format=jsonl" : "");
    if (e.button || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    if (a.ariaDisabled) return;
    a.ariaDisabled = "true";
    const stop = new AbortController(), box = make("div", "", toasts, "toast tone-info");
    const say = make("p", "Exporting…", box), end = make("button", "Stop", box, "btn btn-sm"), bar = make("progress", "", box);
    const most = bar.max = +a.dataset.export;
    bar.value = 0; bar.ariaLabel = "Rows exported"; end.type = "button";
    end.onclick = () => { stop.abort(); box.remove(); };
    const parts = [];
    let rows = a.href.includes("format=jsonl") ? 0 : -1, shown = 0;
    try {
      const r = await fetch(a.href, { signal: stop.signal, redirect: "error" });
      if (!r.ok) throw r;
      const name = /filename="([^"]+)/.exec(r.headers.get("Content-Disposition"))[1];
      for (const from = r.body.getReader(); ;) {
        const { done, value } = await from.read();
        if (done) break;
        parts.push(value);
        for (const b of value) if (b === 10) rows++;
        bar.value = rows;
        if (rows - shown >= 1000) say.textContent = count(shown = rows) + " rows so far";
      }
      const save = d.createElement("a");
      save.href = URL.createObjectURL(new Blob(parts)); save.download = name; save.click();
      setTimeout(() => URL.revokeObjectURL(save.href), 6e4);
      say.textContent = count(rows) + (rows >= most ? " rows saved, which is the most in one file: narrow the filter for the others" : rows === 1 ? " row saved" : " rows saved");
      bar.remove(); end.textContent = "Dismiss";
      if (rows < most) setTimeout(() => box.remove(), 6000);
    } catch {
      say.textContent = `The export broke off after ${count(Math.max(rows, 0))} rows, and nothing was saved. Try again, or reload the page to sign in.`;
      box.className = "toast tone-bad"; bar.remove(); end.textContent = "Dismiss";
    }
    a.ariaDisabled = null;
  });
})();
