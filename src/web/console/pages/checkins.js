import { html } from "../dom.js";
import { useGet } from "../api.js";
import { Badge, Command, Empty, Failure, Loading, Page, Panel, Row, State, Table } from "../ui.js";
import { T, When, count, duration } from "../text.js";

/** Services that say by themselves how they are. */
export function CheckIns() {
  const { data, error, loading, load } = useGet("checkins", 5000);
  const all = data?.checkins ?? [];
  const missing = error?.status === 404;
  return html`<${Page} title="Check-ins" note=${data ? `${count(all.length, "service")} that ${all.length === 1 ? "reports by itself" : "report by themselves"}` : ""}>
    ${!missing && html`<${Failure} error=${error} retry=${load} />`}
    ${loading && html`<${Loading} what="check-ins" />`}
    ${(missing || (data && all.length === 0)) && html`<${Empty} title="No service checks in." command="trapline send checkin --url http://127.0.0.1:5000 --token-file backup-laptop.token backup-laptop OK '12 files'">A backup or a job of cron reports by one HTTP request. With [[intake.checkin]] in the configuration, each service and its last report stand here. Then this line reports:<//>`}
    ${all.length > 0 && html`<${Table} label="Check-ins" head=${["service", "state", ["host", "wide-only"], ["last report", "num"], ["due", "num"], ["says", "wide-only"]]}>
      ${all.map((one) => html`<${Row} key=${one.service}><td><${T}>${one.service}<//></td><td class="nowrap"><${State} of=${one.state} />${one.late && html` <${Badge} tone="bad">late<//>`}</td><td class="wide-only"><${T}>${one.host ?? "the sender"}<//></td>
        <td class="num">${one.received ? html`<${When} at=${one.received} ago=${true} />` : html`<span class="faint">never</span>`}</td><td class="num">${one.timeout_seconds > 0 ? (one.received ? html`<${When} at=${new Date(new Date(one.received).getTime() + one.timeout_seconds * 1000).toISOString()} /> <span class="faint">each ${duration(one.timeout_seconds)}</span>` : `within ${duration(one.timeout_seconds)}`) : "any time"}</td><td class="wide-only output"><${T} max=${200}>${one.output ?? ""}<//></td><//>`)}
    <//>
    <${Panel} title="How a service reports" wide=${true}>
      ${[`trapline send checkin --url ${all[0].url ?? "http://127.0.0.1:5000"} --token-file ${all[0].service}.token ${all[0].service} OK '12 files'`,
        `curl --fail --data service=${all[0].service} --data token=TOKEN --data status=OK --data-urlencode 'info=12 files' ${all[0].url ?? "http://127.0.0.1:5000"}/`].map((text) => html`<${Command} text=${text} />`)}
    <//>`}
  <//>`;
}
