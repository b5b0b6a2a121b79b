// Sends a chosen file in parts, so that a broken connection loses no more than one of them. Without it the form sends
// the file whole.
"use strict";

(() => {
  const PART = 1024 * 1024;
  const TRIES = 8;

  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  class Refused extends Error {}

  async function detail(answer) {
    try {
      return (await answer.json()).detail || answer.statusText;
    } catch {
      return answer.statusText;
    }
  }

  async function digestOf(file) {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  async function send(form, file, say) {
    const token = form.elements.namedItem("form_token").value;
    const headers = { accept: "application/problem+json", "x-form-token": token };
    say(form.dataset.hashing, 0);
    const announced = await fetch(form.action, {
      method: "POST",
      headers,
      body: new URLSearchParams({ form_token: token, name: file.name, size: file.size, sha256: await digestOf(file) }),
    });
    if (announced.status !== 201) throw new Refused(await detail(announced));
    const place = announced.headers.get("location");
    let offset = Number(announced.headers.get("upload-offset"));
    let tries = 0;
    while (offset < file.size) {
      say(form.dataset.sending.replace("{share}", `${Math.floor((100 * offset) / file.size)} %`), offset / file.size);
      try {
        const answer = await fetch(`${place}/parts`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/octet-stream", "upload-offset": String(offset) },
          body: file.slice(offset, offset + PART),
        });
        if (answer.status !== 204 && !(answer.status === 409 && answer.headers.has("upload-offset"))) {
          if (answer.status < 500) throw new Refused(await detail(answer));
          throw new Error(answer.statusText);
        }
        offset = Number(answer.headers.get("upload-offset"));
        tries = 0;
      } catch (error) {
        tries += 1;
        if (error instanceof Refused || tries > TRIES) throw error;
        say(form.dataset.waiting, offset / file.size);
        await pause(500 * 2 ** tries);
        const known = await fetch(`${place}/parts`, { headers: { accept: headers.accept } }).catch(() => null);
        if (known !== null && known.ok) offset = Number(known.headers.get("upload-offset"));
      }
    }
    say(form.dataset.sending.replace("{share}", "100 %"), 1);
    return place;
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const chosen = form.matches("[data-upload]") && form.elements.namedItem("file").files[0];
    if (!chosen || !window.crypto || !crypto.subtle) return;
    event.preventDefault();
    const shown = form.querySelector("[data-progress]");
    const button = form.querySelector("button");
    const say = (text, share) => {
      shown.hidden = false;
      shown.querySelector("progress").value = share;
      shown.querySelector("span").textContent = text;
    };
    button.disabled = true;
    try {
      location.assign(await send(form, chosen, say));
    } catch (error) {
      say(error instanceof Refused ? error.message : form.dataset.failed, 0);
      button.disabled = false;
    }
  });
})();
