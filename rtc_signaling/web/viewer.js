/**
 * The viewer page: shows what the client does. All decisions about connections are in client.js.
 */

import { ViewerClient } from './client.js';
import { describe, describeAge, describeError } from './text.js';

const FROZEN_AFTER_MS = 2000;
const SILENT_AFTER_S = 3;
const ERROR_SHOWN_MS = 8000;
const FPS_OVER_MS = 2000;
const REFRESH_MS = 200;
const TOKEN_KEY = 'rtc_signaling.token';

const root = document.documentElement;
const at = (id) => document.getElementById(id);
const video = at('video');

/** Return the token in an address or fragment, or null: `#token=...` or `...&token=...`. */
function tokenIn(text) {
  const match = /[#&]token=([^&\s]*)/.exec(text);
  if (!match) return null;
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}

/** Keep the token for a reload; where storage is forbidden it is asked for again. */
const store = {
  get() {
    try {
      return sessionStorage.getItem(TOKEN_KEY) ?? '';
    } catch {
      return '';
    }
  },
  set(token) {
    try {
      sessionStorage.setItem(TOKEN_KEY, token);
    } catch {
      // Private modes forbid it; this session works all the same.
    }
  },
};

/** Take the token out of the address bar, where it would be seen, shared and remembered. */
function takeToken() {
  const token = tokenIn(location.hash);
  if (token !== null) {
    history.replaceState(history.state, '', location.pathname + location.search);
    store.set(token);
  }
  return token;
}

const client = new ViewerClient({
  url: new URL('ws', document.baseURI), token: takeToken() ?? store.get(),
});
window.rtcViewer = client;

/** Know when a picture was presented last, and how many a second. */
const screen = {
  shownAt: null, // ms of performance.now(); null before the first picture
  visibleSince: 0,
  recent: [], // {at, frames} of the last FPS_OVER_MS

  presented(frames) {
    const now = performance.now();
    if (now - this.shownAt > FPS_OVER_MS) this.recent = [];
    this.shownAt = now;
    this.recent.push({ at: now, frames });
    while (now - this.recent[0].at > FPS_OVER_MS) this.recent.shift();
  },

  /** Return the pictures a second, or null while too few are known. */
  get fps() {
    const [first, ...later] = this.recent;
    const span_s = (this.shownAt - first?.at) / 1000;
    if (!(span_s > FPS_OVER_MS / 2000)) return null;
    return later.reduce((sum, { frames }) => sum + frames, 0) / span_s;
  },

  /** Return for how many ms the picture has stood still; 0 while it moves. */
  frozen_ms(setUpAt) {
    const reference = Math.max(this.shownAt ?? setUpAt, this.visibleSince);
    if (document.hidden || performance.now() - reference < FROZEN_AFTER_MS) return 0;
    return performance.now() - (this.shownAt ?? setUpAt);
  },
};

let liveSince = 0;
let lastPresented = null;
let decoded = 0;

function onFrame(_, metadata) {
  const { presentedFrames } = metadata;
  const fresh = lastPresented === null ? 1 : presentedFrames - lastPresented;
  lastPresented = presentedFrames;
  client.timing?.presented(metadata);
  screen.presented(Math.max(fresh, 1)); // the count starts again with a new source
  video.requestVideoFrameCallback(onFrame);
}

/** Count decoded pictures where presented ones cannot be: an old browser, a hidden page. */
function onFigures({ detail: { frames } }) {
  const cannotCount = document.hidden || !video.requestVideoFrameCallback;
  if (frames > decoded && cannotCount) screen.presented(frames - decoded);
  decoded = frames;
}

function setText(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Show a text, or hide its element where there is none. */
function showText(id, text) {
  setText(id, text);
  at(id).hidden = !text;
}

function countdown(retryAt) {
  if (!retryAt) return '';
  const left_s = Math.ceil((retryAt - performance.now()) / 1000);
  return left_s > 0 ? `Trying again in ${left_s} s` : 'Trying again now …';
}

function frozenCause() {
  const { bytesAge_s, framesAge_s } = client.figures;
  if (bytesAge_s === null || bytesAge_s > SILENT_AFTER_S) return 'silent';
  return framesAge_s === null || framesAge_s > SILENT_AFTER_S ? 'camera' : 'none';
}

function figures() {
  const size = video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : '';
  const { fps } = screen;
  return fps === null ? size : `${size} · ${Math.round(fps)} fps`;
}

function refresh() {
  const { detail } = client;
  const shown = screen.shownAt !== null;
  const frozen_ms = shown || detail.state === 'live' ? screen.frozen_ms(liveSince) : 0;
  const frozen = frozen_ms > 0 ? frozenCause() : null;
  const words = describe(detail, { shown, frozen }, client.host);

  root.dataset.state = words.state;
  root.dataset.cause = detail.cause ?? '';
  root.toggleAttribute('data-picture', shown);
  root.toggleAttribute('data-frozen', shown && frozen !== null);
  const well = shown && words.state === 'live' && !detail.cause;
  root.toggleAttribute('data-quiet', well && at('play').hidden && at('error').hidden);
  setText('pill', words.pill);
  setText('line', words.line);
  showText('hint', words.hint);
  showText('countdown', countdown(detail.retryAt));
  showText('frozen', shown && frozen ? `frozen for ${(frozen_ms / 1000).toFixed(1)} s` : '');
  if (detail.name || !shown) showText('camera', detail.name ?? '');
  showText('figures', shown && !frozen ? figures() : '');
  showAge(shown && !frozen);
  showForms(words.state, detail);
  document.title = `${words.pill} · rtc_signaling`;
}

function showAge(moves) {
  const { level, text, title } = describeAge(client.timing?.latency);
  showText('age', moves ? text : '');
  at('age').title = title;
  at('age').dataset.age = level;
}

function showForms(state, detail) {
  const login = at('login');
  const opens = login.hidden && state === 'refused';
  login.hidden = state !== 'refused';
  if (opens) at('token').focus();
  at('again').hidden = !(state === 'failed' && detail.cause === 'closed');
}

function play() {
  video.play().then(
    () => { at('play').hidden = true; },
    (error) => {
      // Any other reason (a newer source, above all) mends itself.
      if (error.name === 'NotAllowedError') at('play').hidden = false;
    },
  );
}

let errorTimer;

function showError(error) {
  if (error.code === 'unauthorized') return; // the state says it
  showText('error', describeError(error));
  clearTimeout(errorTimer);
  errorTimer = setTimeout(() => showText('error', ''), ERROR_SHOWN_MS);
}

/** Fill the screen with the page, so that its state stays in sight; an iPhone does only video. */
function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (root.requestFullscreen) root.requestFullscreen().catch(() => {}); // refused: stay small
  else video.webkitEnterFullscreen?.();
}

client.addEventListener('state', ({ detail }) => {
  if (detail.state !== 'live') liveSince = 0;
  else if (!liveSince) liveSince = performance.now();
  refresh();
});
client.addEventListener('media', onFigures);
client.addEventListener('error', ({ detail }) => showError(detail));
client.addEventListener('track', ({ detail }) => {
  video.srcObject = detail.stream;
  lastPresented = null;
  play();
});

at('fullscreen').addEventListener('click', toggleFullScreen);
video.addEventListener('dblclick', toggleFullScreen);
at('play').addEventListener('click', play);
at('again').addEventListener('click', () => client.start());
at('login').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = at('token').value.trim();
  const token = tokenIn(input) ?? input;
  at('token').value = '';
  store.set(token);
  client.login(token);
});

document.addEventListener('fullscreenchange', () => {
  const full = document.fullscreenElement !== null;
  at('fullscreen').setAttribute('aria-pressed', String(full));
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'f' || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (!event.target.closest?.('input')) toggleFullScreen();
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  screen.visibleSince = performance.now();
  client.wake();
});
window.addEventListener('online', () => client.wake());
window.addEventListener('hashchange', () => {
  const token = takeToken();
  if (token !== null) client.login(token);
});
window.addEventListener('pagehide', () => client.stop());
window.addEventListener('pageshow', (event) => {
  if (event.persisted) client.start();
});

if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(onFrame);
setInterval(refresh, REFRESH_MS);
client.start();
refresh();
