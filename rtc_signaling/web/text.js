/**
 * The words of the page: what each state and each error is called, and what to do about it.
 */

const PILLS = {
  connecting: 'connecting',
  authenticating: 'logging in',
  waiting: 'waiting',
  negotiating: 'starting',
  live: 'live',
  frozen: 'frozen',
  reconnecting: 'reconnecting',
  refused: 'refused',
  failed: 'no video',
};

const CONNECTING = {
  unreachable: (host) => [
    `The robot's server does not answer at ${host}.`,
    'Is the robot switched on, and is this device in the same network?',
  ],
  full: () => [
    'The robot\'s server is there but refuses the connection.',
    'Too many viewers or attempts: close one, or wait. Or a page that it does not admit?',
  ],
  unwell: () => [
    'The robot\'s server is not well.', 'Its log and its /healthz say why.',
  ],
  no_network: () => ['This device is not connected to any network.', ''],
  lost: (host, error, code) => [
    `The robot's server at ${host} ended the connection.`,
    error ? describeError(error) : ENDED[code] ?? '',
  ],
};

const ENDED = {
  1001: 'It was stopped.',
  1011: 'It has an error.',
  4413: 'This device is too slow.',
};

const FAILED = {
  blocked: [
    'The network between this device and the robot blocks video.',
    'The server is reachable, but not the camera. A firewall, or two separate networks? Then '
      + 'the robot needs a TURN server.',
  ],
  no_answer: [
    'The robot\'s camera does not answer.',
    'It is registered with the server, but does not reply to this viewer.',
  ],
  busy: [
    'The robot\'s camera has as many viewers as it serves.', 'Close one of them, or wait.',
  ],
  disabled: ['The robot\'s camera is switched off.', 'Somebody has switched it off at the robot.'],
  lost: [
    'The robot\'s camera heard nothing from this device any more.',
    'Trying again. Is the network bad, or was this device asleep?',
  ],
  ended: ['The robot\'s camera has ended the video.', 'Trying again.'],
  no_codec: ['This browser cannot play any video format that the robot\'s camera offers.', ''],
};

const REFUSED = {
  no_token: ['This robot asks for an access token.', ''],
  wrong_token: [
    'The robot\'s server refused the token.',
    'It may have been changed: take it anew from the robot\'s log.',
  ],
  long_token: [
    'That is no access token: it is too long.', 'Take the token anew from the robot\'s log.',
  ],
};

const CLOSED = {
  1009: 'A message of the page was too big.',
  4400: 'The server did not understand this page: reload it.',
  4403: 'This token does not allow to watch.',
  4404: 'The server knows no such camera.',
  4409: 'This viewer was opened again elsewhere, so it was closed here.',
};

const GONE = [
  'The robot\'s camera is gone. Waiting for it to come back …',
  'The server runs, but the robot\'s camera has left it.',
];

const AWAY = [GONE[0], 'The server runs, but the camera has lost its connection to it.'];

const FROZEN = {
  none: ['No new picture is coming.', ''],
  camera: [
    'The robot is connected, but its camera sends no pictures.',
    'Is the camera plugged in, and is its driver running?',
  ],
  silent: ['Nothing comes from the robot any more.', 'Trying to reach it again.'],
};

const NEW_NAME = 'The server did not accept this viewer\'s name; a new one is taken.';

const ERRORS = {
  unauthorized: 'The server refused the token.',
  forbidden_role: 'The token does not allow to watch.',
  forbidden_camera: 'The token is not for this camera.',
  peer_unavailable: 'The robot\'s camera is not reachable through the server just now.',
  invalid_message: 'The server did not understand a message of this page.',
  forbidden_client_id: NEW_NAME,
  timeout: 'The server waited too long.',
  invalid_sdp: 'The server did not accept this browser\'s description of the video.',
  invalid_candidate: 'The server did not accept one of this device\'s addresses.',
  invalid_state: 'The server did not expect a message of this page.',
  name_taken: NEW_NAME,
  no_ack: 'The server does not answer this page.',
  ambiguous_target: 'Several cameras, and none was named.',
  too_many_connections: 'All places for viewers are taken: close one, or wait.',
  rate_limited: 'This page sent too much; it waits and tries again.',
  webrtc: 'The browser refused a step of setting up video.',
};

const AGE_UNKNOWN = {
  browser: 'This browser does not say which picture it shows.',
  robot: 'The camera does not tell the time.',
  simulated: 'The camera\'s time is simulated.',
  clocks: 'The stamps are not of the robot\'s clock, or that was set.',
  waiting: 'Not measured yet.',
};

/** Put a latency of `Timing` into words: {level, text, title}. */
export function describeAge({ unknown, p50_ms, p95_ms, error_ms } = { unknown: 'waiting' }) {
  if (unknown) {
    const text = unknown === 'clocks' ? 'clocks differ' : 'age unknown';
    return { level: 'unknown', text, title: AGE_UNKNOWN[unknown] };
  }
  const words = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
  const title = `Camera to screen; 95 % within ${words(p95_ms)}, clocks ±${words(error_ms)}`;
  const level = p50_ms > 1000 ? 'old' : p50_ms > 500 ? 'late' : 'fresh';
  return { level, text: words(p50_ms), title };
}

/** Return an error of the protocol in words, with what the server said about it. */
export function describeError({ code, message }) {
  const words = ERRORS[code] ?? `The server reports an error (${code}).`;
  return message ? `${words} (${message})` : words;
}

/**
 * Say what the page is doing.
 *
 * Args:
 *   detail: The client's `detail`.
 *   picture: What is on the screen: {shown, frozen}; `frozen` is null or a key of FROZEN.
 *   host: The server's host and port.
 *
 * Returns {state, pill, line, hint}; `state` is what `data-state` shows.
 */
export function describe(detail, picture, host) {
  const state = visibleState(detail.state, picture);
  const [line, hint] = sentences(state, detail, picture, host);
  return { state, pill: pillOf(state, detail, picture), line, hint };
}

/** Return the state as the eye has it: not live before there is a picture, nor when it stands. */
function visibleState(state, { shown, frozen }) {
  if (state !== 'live') return state;
  if (frozen) return 'frozen';
  return shown ? 'live' : 'negotiating';
}

function pillOf(state, { cause }, { shown }) {
  if (state === 'frozen' && !shown) return 'no picture';
  if (cause === 'no_token') return 'log in';
  return PILLS[state];
}

function sentences(state, detail, picture, host) {
  const { cause, code, error, flows } = detail;
  switch (state) {
    case 'connecting':
      return CONNECTING[cause]?.(host, error, code)
        ?? ['Connecting to the robot\'s server …', ''];
    case 'authenticating':
      return ['Logging in …', ''];
    case 'waiting':
      if (detail.reason === 'away') return AWAY;
      if (cause === 'lost') return GONE;
      return ['Waiting for the robot\'s camera …',
        'The server runs, but no camera is connected to it yet.'];
    case 'negotiating':
      return [flows ? 'Connected. Waiting for the first picture …' : 'Setting up video …', ''];
    case 'live':
      if (cause === 'sender_left') {
        return ['The camera has lost the server; the video goes on.', ''];
      }
      return ['Live.', ''];
    case 'frozen':
      return cause === 'sender_left' ? GONE : FROZEN[picture.frozen];
    case 'reconnecting':
      if (flows) return ['Server lost; the video goes on.', ''];
      return ['Server lost, and no video comes.',
        cause === 'lost' ? ENDED[code] ?? ''
          : CONNECTING[cause]?.(host, error, code).join(' ') ?? ''];
    case 'refused':
      return REFUSED[cause];
    default:
      if (cause !== 'closed') {
        return FAILED[cause] ?? ['Video could not be set up.', ERRORS[cause] ?? ''];
      }
      return [CLOSED[code] ?? `The server ended the connection for good (code ${code}).`,
        error ? describeError(error) : ''];
  }
}
