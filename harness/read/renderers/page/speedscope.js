"use strict";
// The samples in speedscope, which is packed in the page and unpacked when opened, in a frame because it needs its
// own window.
{
  const entry = document.getElementById("speedscope");

  // One profile per thread. The samples are added up, so only the views "left heavy" and "sandwich" have a meaning.
  const profile = () => {
    const data = dataOf("icicle");
    const frames = data.lines.map(([name, where]) => ({ name, file: where.replace(/:\d+$/, ""), line: +where.split(":").at(-1) }));
    const spanAt = frames.length;
    frames.push(...data.spans.map(span => ({ name: span ? `span ${span}` : "no span" })));
    const profiles = data.threads.map((thread, number) => {
      const rows = data.rows.filter(row => row[0] === number);
      const samples = rows.map(([, , span, call]) => {
        const stack = [];
        for (let at = call; at; at = data.callers[at - 1]) stack.unshift(data.called[at - 1]);
        return [spanAt + span, ...stack];
      });
      const weights = rows.map(row => row[4]);
      return { type: "sampled", name: `${thread.name} (${thread.way})`, unit: "milliseconds", startValue: 0, endValue: weights.reduce((a, b) => a + b, 0), samples, weights };
    });
    return { $schema: "https://www.speedscope.app/file-format-schema.json", name: document.title, activeProfileIndex: Math.max(0, data.threads.findIndex(thread => thread.on_loop)), shared: { frames }, profiles };
  };

  const unpacked = async () => {
    const packed = Uint8Array.from(atob(document.getElementById("speedscope-code").textContent), letter => letter.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };

  const show = async () => {
    const json = new TextEncoder().encode(JSON.stringify(profile()));
    const text = btoa(Array.from(json, byte => String.fromCharCode(byte)).join(""));
    // It stores its theme, which a page from a file may not do. And it would fetch the file named in its address;
    // the data is passed directly instead.
    const start = `Object.defineProperty(window, "localStorage", { value: {} });
      const append = document.head.appendChild;
      document.head.appendChild = node => node.src ? node : append.call(document.head, node);`;
    const hand = `const wait = setInterval(() => {
      if (!window.speedscope) return;
      clearInterval(wait);
      window.speedscope.loadFileFromBase64("samples.json", "${text}");
    }, 20);`;
    const page = ["<!doctype html><meta charset=utf-8><title>speedscope</title><style>html,body{margin:0;height:100%;overflow:hidden}</style><body>",
      ...[start, await unpacked(), hand].map(code => `<script>${code}<\/script>`)];
    const frame = element("iframe", { title: "The samples in speedscope" });
    frame.src = URL.createObjectURL(new Blob(page, { type: "text/html" })) + "#localProfilePath=none&view=left-heavy";
    entry.append(frame);
  };
  entry.hidden = !("DecompressionStream" in window);
  entry.addEventListener("toggle", () => show().catch(error => entry.append(`speedscope did not start: ${error}`)), { once: true });
}
