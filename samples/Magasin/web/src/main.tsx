import { CarillonProvider } from "@carillon/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { carillon } from "./live/carillon";
import { RecentChanges } from "./live/recentChanges";
import { SettingsProvider } from "./settings";
import { Toasts } from "./ui/toast";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/screens.css";

const root = document.getElementById("root");
if (!root) throw new Error("The page has no root.");

createRoot(root).render(
  <StrictMode>
    <SettingsProvider>
      <CarillonProvider carillon={carillon}>
        <Toasts>
          <RecentChanges>
            <App />
          </RecentChanges>
        </Toasts>
      </CarillonProvider>
    </SettingsProvider>
  </StrictMode>,
);
