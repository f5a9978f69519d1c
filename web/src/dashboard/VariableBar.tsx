/** The controls above a dashboard that choose its variables. */
import { useState } from 'preact/hooks';
import { Icon } from '../ui/icons';
import { Menu } from '../ui/Menu';
import type { Choice, Option, Variable } from './model';
import { ALL, setVariable } from './useVariables';
import type { VariableState } from './useVariables';

/** Options drawn before the search narrows them. */
const OPTIONS_MAX = 200;

function TextBox({ variable, choice }: { variable: Variable; choice: Choice }) {
  return (
    <input
      class="input"
      value={choice.value[0] ?? ''}
      aria-label={variable.label}
      onChange={(event) => setVariable(variable, [event.currentTarget.value])}
    />
  );
}

function summary(choice: Choice): string {
  if (choice.all) return 'All';
  if (choice.text.length > 2) return `${choice.text[0]} + ${choice.text.length - 1}`;
  return choice.text.join(' + ') || 'None';
}

function Choices({
  variable,
  choice,
  options,
  error,
}: {
  variable: Variable;
  choice: Choice;
  options: readonly Option[];
  error: string | undefined;
}) {
  const [open, setOpen] = useState(false);
  const [search, setSearch] = useState('');
  const close = () => {
    setOpen(false);
    setSearch('');
  };
  const needle = search.toLowerCase();
  const found = options.filter((o) => o.text.toLowerCase().includes(needle));
  const toggle = (value: string) => {
    if (!variable.multi) {
      setVariable(variable, [value]);
      return close();
    }
    const before = choice.all ? [] : choice.value.filter((v) => v !== '');
    const next = before.includes(value) ? before.filter((v) => v !== value) : [...before, value];
    setVariable(variable, next.length > 0 ? next : variable.includeAll ? [ALL] : [value]);
  };
  const item = (value: string, text: string, on: boolean) => (
    <button
      key={value}
      type="button"
      role={variable.multi ? 'menuitemcheckbox' : 'menuitemradio'}
      aria-checked={on}
      onClick={() => (value === ALL ? (setVariable(variable, [ALL]), close()) : toggle(value))}
    >
      <span class="var-mark">{on && <Icon name="check" size={14} />}</span>
      <span class="var-text">{text}</span>
    </button>
  );
  return (
    <Menu
      label={`${variable.label}: ${summary(choice)}`}
      open={open}
      onOpen={(on) => (on ? setOpen(true) : close())}
      class="var-menu"
      buttonClass="button var-face"
      face={
        <>
          <span class="var-text">{summary(choice)}</span>
          {error ? <Icon name="warning" size={14} /> : <Icon name="chevron" size={14} />}
        </>
      }
    >
      {(options.length > 8 || error) && (
        <input
          class="input"
          type="search"
          placeholder="Search or type a value"
          aria-label={`Search ${variable.label}`}
          value={search}
          autofocus
          onInput={(event) => setSearch(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || !search) return;
            toggle(found[0]?.value ?? search);
          }}
        />
      )}
      {error && (
        <p class="hint bad" role="alert">
          {error}
        </p>
      )}
      <div class="var-options" role="menu" aria-label={variable.label}>
        {variable.includeAll && !search && item(ALL, 'All', choice.all)}
        {found.slice(0, OPTIONS_MAX).map((o) => item(o.value, o.text, !choice.all && choice.value.includes(o.value)))}
        {found.length > OPTIONS_MAX && <p class="hint">{found.length - OPTIONS_MAX} more: type to find them</p>}
        {found.length === 0 && !error && (
          <p class="hint">
            {search ? 'Nothing matches. Enter takes the text as it is.' : 'No values in this time range.'}
          </p>
        )}
      </div>
    </Menu>
  );
}

export function VariableBar({ variables, state }: { variables: readonly Variable[]; state: VariableState }) {
  const shown = variables.filter(
    (v) => v.hide !== 'variable' && !(v.type === 'datasource' && (state.options[v.name]?.length ?? 0) < 2),
  );
  if (shown.length === 0) return null;
  return (
    <div class="var-bar" role="group" aria-label="Variables">
      {shown.map((v) => {
        const choice = state.choices[v.name];
        if (!choice) return null;
        return (
          <div class="var" key={v.name}>
            {v.hide !== 'label' && <span class="var-label">{v.label}</span>}
            {v.type === 'textbox' ? (
              <TextBox variable={v} choice={choice} />
            ) : (
              <Choices
                variable={v}
                choice={choice}
                options={state.options[v.name] ?? []}
                error={state.errors[v.name]}
              />
            )}
          </div>
        );
      })}
    </div>
  );
}
