import "uplot/dist/uPlot.min.css";
import "./style.css";

import { App } from "./app";

const root = document.getElementById("app");
if (!root) throw new Error("the page has no element #app");
new App(root).start();
