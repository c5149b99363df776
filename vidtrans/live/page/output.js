// The bare output, for OBS and second screens.
import { Connection, Screen } from "../shared/connection.js";

const screen = new Screen(document.getElementById("output"));
new Connection().addEventListener("picture", (event) => screen.show(event.detail.file));
