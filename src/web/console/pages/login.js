import { html, useState } from "../dom.js";
import { Failure } from "../ui.js";

/** Asks for a token. */
export function Login({ onEnter, error: before = null, ended = false }) {
  const [token, set] = useState("");
  const [error, fail] = useState(before);
  const [busy, work] = useState(false);
  const enter = async (event) => {
    event.preventDefault();
    work(true);
    fail(null);
    try {
      await onEnter(token.trim());
    } catch (problem) {
      fail(problem);
      work(false);
    }
  };
  return html`<main class="login" id=${ended ? "login" : "main"}>
    <form onSubmit=${enter}>
      <h1>Trapline</h1>
      ${ended && html`<p class="warn-text" role="alert"><strong>Your session has ended.</strong> Its token was removed or has expired, or it was idle for 12 hours. Sign in to go on where you were; what you have typed is still there.</p>`}
      <p>Sign in with a token. The first start writes one to the file <code>admin-token</code> in the journal directory. This line makes another:</p>
      <pre><code>trapline token add NAME --role admin</code></pre>
      <label class="field"><span class="label">Token</span>
        <input type="password" autocomplete="current-password" spellcheck=${false} required autofocus value=${token} onInput=${(event) => set(event.target.value)} /></label>
      <${Failure} error=${error} />
      <button type="submit" class="primary" disabled=${busy}>Sign in</button>
    </form>
  </main>`;
}
