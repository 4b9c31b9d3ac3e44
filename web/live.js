// Live updates over SignalR: a message only says "look now". What is shown comes from the API, so a
// lost or doubled message shows nothing wrong, and without SignalR the page asks as often as ever.
import {post} from "./api.js";

const END = "\x1e";
const PING_MS = 15_000;
const FIRST_MS = 2_000;
const LONGEST_MS = 120_000;

/**
 * Listens for as long as the page is open.
 * @param look called when something happened
 * @param told called with true or false when the connection comes or goes
 */
export function listen(look, told) {
  let pause = FIRST_MS;
  const again = () => {
    told(false);
    setTimeout(connect, pause);
    pause = Math.min(LONGEST_MS, pause * 2);
  };

  async function connect() {
    try {
      await open();
    } catch {
      again();
    }
  }

  async function open() {
    const {url, accessToken} = await post("negotiate");
    if (!url) throw new Error("there is no such service");
    const service = new URL(url, location.origin);
    const asked = new URL(service);
    asked.pathname = `${service.pathname.replace(/\/$/, "")}/negotiate`;
    asked.searchParams.set("negotiateVersion", "1");
    const answer = await fetch(asked, {
      method: "POST",
      credentials: "omit",
      headers: {Authorization: `Bearer ${accessToken}`, "X-Requested-With": "XMLHttpRequest"},
    });
    if (!answer.ok) throw new Error(`SignalR answered ${answer.status}`);
    const {connectionToken, connectionId} = await answer.json();
    service.protocol = service.protocol === "https:" ? "wss:" : "ws:";
    service.searchParams.set("id", connectionToken ?? connectionId);
    service.searchParams.set("access_token", accessToken);
    receive(new WebSocket(service));
  }

  function receive(socket) {
    let greeted = false;
    const ping = setInterval(() => { if (greeted) socket.send(`{"type":6}${END}`); }, PING_MS);
    socket.onopen = () => socket.send(`{"protocol":"json","version":1}${END}`);
    socket.onmessage = (event) => {
      for (const text of String(event.data).split(END).filter(Boolean)) {
        const record = JSON.parse(text);
        if (!greeted) {
          if (record.error) return socket.close();
          greeted = true;
          pause = FIRST_MS;
          told(true);
        } else if (record.type === 1) {
          look(record.target);
        } else if (record.type === 7) {
          return socket.close();
        }
      }
      return undefined;
    };
    socket.onclose = () => {
      clearInterval(ping);
      again();
    };
  }

  void connect();
}
