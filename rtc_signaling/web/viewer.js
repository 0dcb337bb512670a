/** The viewer page; all decisions about connections are in client.js. */

import { ALL, Cameras } from './cameras.js';
import { ViewerClient } from './client.js';
import { Details } from './details.js';
import { copy, record, savePicture } from './save.js';
import { describeError } from './text.js';
import { View } from './view.js';

const NOTE_MS = 8000;
const REFRESH_MS = 200;
const DETAILS_MS = 500;
const TOKEN_KEY = 'rtc_signaling.token';

const root = document.documentElement;
const at = (id) => document.getElementById(id);
const video = at('video');

/** Return the token in an address or fragment, or null: `#token=...` or `...&token=...`. */
function tokenIn(text) {
	const [, token] = /[#&]token=([^&\s]*)/.exec(text) ?? [];
	try {
		return token === undefined ? null : decodeURIComponent(token);
	} catch {
		return token;
	}
}

/** Keep the token for a reload, or return it; some private modes forbid it: it is asked for. */
function stored(token) {
	try {
		if (token !== undefined) sessionStorage.setItem(TOKEN_KEY, token);
		return sessionStorage.getItem(TOKEN_KEY) ?? '';
	} catch {
		return token ?? '';
	}
}

/** Take the token out of the address bar, where it would be seen, shared and remembered. */
function takeToken() {
	const token = tokenIn(location.hash);
	if (token === null) return null;
	history.replaceState(history.state, '', location.pathname + location.search);
	stored(token);
	return token;
}

const client = new ViewerClient({
	url: new URL('ws', document.baseURI), token: takeToken() ?? stored(),
});
window.rtcViewer = client;
const view = new View(video, client);
const cameras = new Cameras(at('cameras'), at('stage'), at('tile'), view);
const details = new Details(at('list'), at('plot'));
const shape = { turn: 0, mirrored: false };
let keys = true;
let recorder = null;

/** Show a text, or hide its element where there is none. */
function show(id, text) {
	const element = at(id);
	if (element.textContent !== text) element.textContent = text;
	element.hidden = !text;
}

function tell(id, text) {
	show(id, text);
	clearTimeout(at(id).timer);
	at(id).timer = setTimeout(() => show(id, ''), NOTE_MS);
}

function countdown(retryAt) {
	if (!retryAt) return '';
	const left_s = Math.ceil((retryAt - performance.now()) / 1000);
	return left_s > 0 ? `Trying again in ${left_s} s` : 'Trying again now …';
}

function figures() {
	const size = video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : '';
	return view.fps === null ? size : `${size} · ${Math.round(view.fps)} fps`;
}

function refresh() {
	const { detail } = client;
	const { shown, frozen, frozenFor, age, state, pill, line, hint } = view.read();
	const moves = shown && !frozen;
	Object.assign(root.dataset, { state, cause: detail.cause ?? '' });
	root.toggleAttribute('data-picture', shown);
	root.toggleAttribute('data-recording', recorder !== null);
	at('main').toggleAttribute('data-frozen', frozenFor !== '');
	const well = shown && state === 'live' && !detail.cause;
	root.toggleAttribute('data-quiet', well && !view.blocked && at('error').hidden);
	show('pill', pill);
	show('line', line);
	show('hint', hint);
	show('countdown', countdown(detail.retryAt));
	show('frozen', frozenFor);
	if (detail.name || !shown) show('camera', detail.name ?? '');
	show('figures', moves ? figures() : '');
	show('age', moves ? age.text : '');
	at('age').title = age.title;
	at('age').dataset.age = age.level;
	at('play').hidden = !view.blocked;
	at('again').hidden = !(state === 'failed' && detail.cause === 'closed');
	const opens = at('login').hidden && state === 'refused';
	at('login').hidden = state !== 'refused';
	if (opens) at('token').focus();
	for (const [button, , pressed] of actions.values()) {
		if (pressed) button.ariaPressed = pressed();
	}
	cameras.update();
	document.title = `${pill} · rtc_signaling`;
}

/** Fill the screen with the page, so that its state stays in sight; an iPhone does only video. */
function toggleFullScreen() {
	if (document.fullscreenElement) document.exitFullscreen();
	else if (root.requestFullscreen) root.requestFullscreen().catch(() => {}); // refused: stay small
	else video.webkitEnterFullscreen?.();
}

async function togglePictureInPicture() {
	if (document.pictureInPictureElement) await document.exitPictureInPicture();
	else await video.requestPictureInPicture();
}

async function snapshot() {
	if (view.metadata) tell('note', `Saved ${await savePicture(view, shape)}`);
}

function toggleRecording() {
	if (recorder) recorder.stop();
	else {
		recorder = record(view, (name) => {
			recorder = null;
			tell('note', `Saved ${name}`);
		});
	}
}

function reshape(turn, mirrored) {
	Object.assign(shape, { turn: turn % 360, mirrored });
	video.style.transform = `translate(-50%,-50%) scaleX(${mirrored ? -1 : 1}) rotate(${turn}deg)`;
	video.toggleAttribute('data-across', turn % 180 !== 0);
}

function share(fragment) {
	tell('note', copy(location.href + fragment) ? 'Link copied.' : 'The browser refused to copy.');
}

// Key -> [button, what it does, whether that is on]
const actions = new Map();
for (const [key, label, act, pressed] of [
	['i', 'Details', () => at('details').toggleAttribute('hidden'), () => !at('details').hidden],
	['f', 'Full screen', toggleFullScreen, () => document.fullscreenElement !== null],
	['p', 'Picture in picture', togglePictureInPicture, () => !!document.pictureInPictureElement],
	['s', 'Save the picture', snapshot],
	['v', 'Record', toggleRecording, () => recorder !== null],
	['r', 'Rotate', () => reshape(shape.turn + 90, shape.mirrored)],
	['m', 'Mirror', () => reshape(shape.turn, !shape.mirrored), () => shape.mirrored],
	['a', 'All cameras', () => cameras.choose(cameras.chosen === ALL ? client.sender : ALL),
		() => cameras.chosen === ALL],
	['c', 'Copy the link', () => share('')],
	['t', 'Copy the link with the token', () => share(`#token=${encodeURIComponent(stored())}`)],
	['k', 'Keys', () => { keys = !keys; }, () => keys],
]) {
	const button = document.createElement('button');
	const act_safely = () => Promise.resolve().then(act).catch(
		({ message }) => tell('note', `This browser cannot: ${message}`),
	).then(refresh);
	button.append(label, Object.assign(document.createElement('kbd'), { textContent: key }));
	button.addEventListener('click', act_safely);
	button.setAttribute('aria-keyshortcuts', key);
	at('menu').append(button);
	actions.set(key, [button, act_safely, pressed]);
}

client.addEventListener('state', refresh);
client.addEventListener('error', ({ detail }) => { // the state tells of `unauthorized`
	if (detail.code !== 'unauthorized') tell('error', describeError(detail));
});
video.addEventListener('dblclick', toggleFullScreen);
at('play').addEventListener('click', () => view.play());
at('again').addEventListener('click', () => client.start());
at('copy').addEventListener('click', () => {
	const all = { at: new Date().toISOString(), camera: client.sender, ...details.figures };
	tell('note', copy(JSON.stringify(all, null, 2)) ? 'Copied.' : 'The browser refused to copy.');
});
at('login').addEventListener('submit', (event) => {
	event.preventDefault();
	const input = at('token').value.trim();
	const token = tokenIn(input) ?? input;
	at('token').value = '';
	stored(token);
	client.login(token);
});
document.addEventListener('keydown', (event) => {
	const { key, ctrlKey, metaKey, altKey, repeat, target } = event;
	if (ctrlKey || metaKey || altKey || repeat || target.closest?.('input, select')) return;
	if (keys || key === 'k') actions.get(key)?.[1]();
});
document.addEventListener('visibilitychange', () => {
	if (document.hidden) return;
	View.visibleSince = performance.now();
	client.wake();
});
window.addEventListener('online', () => client.wake());
window.addEventListener('hashchange', () => {
	const token = takeToken();
	if (token !== null) client.login(token);
});
window.addEventListener('pagehide', () => {
	cameras.close();
	client.stop();
});
window.addEventListener('pageshow', ({ persisted }) => {
	if (persisted) client.start();
});

setInterval(refresh, REFRESH_MS);
setInterval(() => details.update(view), DETAILS_MS);
reshape(0, false);
client.start();
refresh();
