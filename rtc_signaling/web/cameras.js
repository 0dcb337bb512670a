import { View } from './view.js';

export const ALL = '*';

class Tile {
	constructor(template, client, onChoose) {
		this.element = template.content.firstElementChild.cloneNode(true);
		[this.video, this.frozen, this.button] = this.element.children;
		this.view = new View(this.video, client);
		this.button.onclick = onChoose;
	}

	update(name) {
		const { frozenFor, pill, age, moves } = this.view.read();
		this.element.toggleAttribute('data-frozen', frozenFor);
		this.frozen.textContent = frozenFor;
		this.frozen.hidden = !frozenFor;
		this.button.textContent = `${name} · ${pill}${moves ? ` · ${age.text}` : ''}`;
		this.video.ariaLabel = `Camera ${name}`;
	}

	close() {
		this.view.client.stop();
		this.element.remove();
	}
}

export class Cameras {
	chosen = new URLSearchParams(location.search).get('camera');
	#tiles = new Map(); // by client_id
	#listed = '';

	constructor(select, stage, template, main) {
		Object.assign(this, { select, stage, template, main });
		if (this.chosen !== ALL) main.client.camera = this.chosen;
		select.onchange = () => this.choose(select.value);
	}

	choose(id) {
		this.chosen = id;
		history.replaceState(history.state, '', `?camera=${encodeURIComponent(id)}`);
		if (id !== ALL) this.main.client.choose(id);
		this.update();
	}

	update() {
		const { senders, sender } = this.main.client;
		this.#list(senders);
		const stays = (id) => this.chosen === ALL && id !== sender && senders.has(id);
		this.close(stays);
		for (const id of [...senders.keys()].filter(stays)) {
			if (!this.#tiles.has(id)) this.#open(id);
			this.#tiles.get(id).update(senders.get(id).name || id);
		}
	}

	close(stays = () => false) {
		for (const [id, tile] of this.#tiles) {
			if (stays(id)) continue;
			this.#tiles.delete(id);
			tile.close();
		}
	}

	#open(id) {
		const tile = new Tile(this.template, this.main.client.beside(id), () => this.choose(id));
		this.#tiles.set(id, tile);
		this.stage.append(tile.element);
	}

	#list(senders) {
		const options = [...senders.values()].map(({ client_id, name }) => [name || client_id, client_id]);
		this.select.hidden = options.length < 2;
		options.push(['All cameras', ALL]);
		if (JSON.stringify(options) !== this.#listed) {
			this.#listed = JSON.stringify(options);
			this.select.replaceChildren(...options.map((option) => new Option(...option)));
		}
		this.select.value = this.chosen === ALL ? ALL : this.main.client.sender;
	}
}
