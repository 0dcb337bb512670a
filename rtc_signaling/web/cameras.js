/** Several cameras: the choice of one, or a grid of all. */

import { View } from './view.js';

export const ALL = '*';

/** Show one more camera beside the main one. */
class Tile {
	constructor(template, client, onChoose) {
		this.element = template.content.firstElementChild.cloneNode(true);
		[this.video, this.frozen, this.button] = this.element.children;
		this.view = new View(this.video, client);
		this.button.addEventListener('click', onChoose);
	}

	update(name) {
		const { frozenFor, pill, age, shown, frozen } = this.view.read();
		this.element.toggleAttribute('data-frozen', frozenFor !== '');
		this.frozen.textContent = frozenFor;
		this.frozen.hidden = !frozenFor;
		this.button.textContent = [name, pill, ...(shown && !frozen ? [age.text] : [])].join(' · ');
		this.video.ariaLabel = `Live picture of the camera ${name}`;
	}
}

/** Keep the list of cameras and the tiles up to date; `main` is the large view's. */
export class Cameras {
	#tiles = new Map(); // client_id -> Tile
	#listed = '';

	constructor(select, stage, template, main) {
		Object.assign(this, { select, stage, template, main });
		this.chosen = new URLSearchParams(location.search).get('camera');
		if (this.chosen !== ALL) main.client.camera = this.chosen;
		select.addEventListener('change', () => this.choose(select.value));
	}

	/** Watch a camera by its client_id, or ALL. */
	choose(id) {
		this.chosen = id;
		const url = new URL(location);
		url.searchParams.set('camera', id);
		history.replaceState(history.state, '', url);
		if (id !== ALL) this.main.client.choose(id);
		this.update();
	}

	update() {
		const { senders, sender } = this.main.client;
		this.#list(senders);
		const others = this.chosen === ALL ? [...senders.keys()].filter((id) => id !== sender) : [];
		for (const id of this.#tiles.keys()) if (!others.includes(id)) this.#close(id);
		for (const id of others) {
			if (!this.#tiles.has(id)) this.#open(id);
			this.#tiles.get(id).update(senders.get(id).name || id);
		}
	}

	close() {
		for (const id of this.#tiles.keys()) this.#close(id);
	}

	#open(id) {
		const client = this.main.client.beside(id);
		const tile = new Tile(this.template, client, () => this.choose(id));
		this.#tiles.set(id, tile);
		this.stage.append(tile.element);
	}

	#close(id) {
		const { view, element } = this.#tiles.get(id);
		view.client.stop();
		element.remove();
		this.#tiles.delete(id);
	}

	#list(senders) {
		const options = [...senders.values()].map(({ client_id, name }) => [name || client_id, client_id]);
		if (options.length > 1) options.push(['All cameras', ALL]);
		const listed = JSON.stringify(options);
		if (listed !== this.#listed) {
			this.#listed = listed;
			this.select.replaceChildren(...options.map((option) => new Option(...option)));
			this.select.parentElement.hidden = options.length < 2;
		}
		const value = this.chosen === ALL ? ALL : this.main.client.sender;
		if (this.select.value !== value) this.select.value = value;
	}
}
