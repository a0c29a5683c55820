import { html, useState } from "../dom.js";
import { Failure } from "../ui.js";

/** Asks for a token. */
export function Login({ onEnter, error: before }) {
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
  return html`<main class="login" id="main">
    <form onSubmit=${enter}>
      <h1>Trapline</h1>
      <p>Sign in with a token. The first start writes one to the file <code>admin-token</code> in the journal directory. This line makes another:</p>
      <pre><code>trapline token add NAME --role admin</code></pre>
      <label class="field"><span class="label">Token</span>
        <input type="password" autocomplete="current-password" spellcheck=${false} required autofocus value=${token} onInput=${(event) => set(event.target.value)} /></label>
      <${Failure} error=${error} />
      <button type="submit" class="primary" disabled=${busy}>Sign in</button>
    </form>
  </main>`;
}
