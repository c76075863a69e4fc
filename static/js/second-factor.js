// Passkeys (the browser's own dialogs) and the three buttons under the recovery codes. Forms are sent as forms:
// the browser's answer goes into a hidden field, so that the page after it is drawn by the server like any other.
"use strict";

// --- Bytes, as WebAuthn wants them and JSON can carry them ----------------------------------------------------------

function bytesOf(text) {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

function textOf(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const withBytes = (credentials) => (credentials ?? []).map((one) => ({ ...one, id: bytesOf(one.id) }));

// --- The two ceremonies ---------------------------------------------------------------------------------------------

async function createPasskey(options) {
  const publicKey = {
    ...options,
    challenge: bytesOf(options.challenge),
    user: { ...options.user, id: bytesOf(options.user.id) },
    excludeCredentials: withBytes(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return answerOf(made, {
    attestationObject: textOf(made.response.attestationObject),
    transports: made.response.getTransports?.() ?? [],
  });
}

async function getPasskey(options) {
  const publicKey = {
    ...options,
    challenge: bytesOf(options.challenge),
    allowCredentials: withBytes(options.allowCredentials),
  };
  const used = await navigator.credentials.get({ publicKey });
  return answerOf(used, {
    authenticatorData: textOf(used.response.authenticatorData),
    signature: textOf(used.response.signature),
    userHandle: used.response.userHandle ? textOf(used.response.userHandle) : null,
  });
}

function answerOf(credential, response) {
  return JSON.stringify({
    id: credential.id,
    rawId: textOf(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: {},
    response: { clientDataJSON: textOf(credential.response.clientDataJSON), ...response },
  });
}

async function runCeremony(form) {
  const csrf = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const begun = await fetch(form.dataset.begin, { method: "POST", headers: { "X-CSRFToken": csrf } });
  if (!begun.ok) throw new Error(String(begun.status));
  const options = await begun.json();
  const answer = form.dataset.passkey === "create" ? await createPasskey(options) : await getPasskey(options);
  form.querySelector("[name$=answer]").value = answer;
  form.requestSubmit();
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("[data-passkey-start]");
  const failed = form.querySelector("[data-passkey-failed]");
  button.disabled = !window.PublicKeyCredential;
  button.addEventListener("click", async () => {
    if (!form.reportValidity()) return;
    failed.hidden = true;
    button.disabled = true;
    try {
      await runCeremony(form);
    } catch {
      failed.hidden = false; // declined, too late, or not possible on this machine: the browser has said which
    } finally {
      button.disabled = false;
    }
  });
}

// --- Recovery codes -------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-prints]")) print();
});
