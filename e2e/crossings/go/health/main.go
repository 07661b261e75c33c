// What kstatus says of objects, and a health rule of Argo CD: JSON lines on standard input, one line of JSON for each on standard output.
// A line is {"object": …, "lua": "…", "openLibs": false}; lua is a health rule, run as Argo CD runs it.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type question struct {
	// Numbers as Kubernetes has them, which encoding/json alone makes floats.
	Object   json.RawMessage `json:"object"`
	Lua      string          `json:"lua"`
	OpenLibs bool            `json:"openLibs"`
}

type answer struct {
	Kstatus string `json:"kstatus"`
	Rule    string `json:"rule"`
	Error   string `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(ask(q)); err != nil {
			log.Fatal(err)
		}
	}
}

func ask(q question) answer {
	var a answer
	fields := map[string]any{}
	if err := kubejson.Unmarshal(q.Object, &fields); err != nil {
		return answer{Error: "object: " + err.Error()}
	}
	object := &unstructured.Unstructured{Object: fields}
	computed, err := status.Compute(object)
	if err != nil {
		a.Error = "kstatus: " + err.Error()
	} else {
		a.Kstatus = string(computed.Status)
	}
	if q.Lua != "" {
		if a.Rule, err = rule(q, fields); err != nil {
			a.Error = "lua: " + err.Error()
		}
	}
	return a
}

// As Argo CD: base and table always, the other safe libraries where useOpenLibs says so.
func rule(q question, object map[string]any) (string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: !q.OpenLibs})
	defer state.Close()
	if !q.OpenLibs {
		for _, one := range []struct {
			name string
			open lua.LGFunction
		}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
			if err := state.CallByParam(lua.P{Fn: state.NewFunction(one.open), Protect: true}, lua.LString(one.name)); err != nil {
				return "", err
			}
		}
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(q.Lua); err != nil {
		return "", err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", nil
	}
	return table.RawGetString("status").String(), nil
}

func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case int64:
		return lua.LNumber(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		table := state.NewTable()
		for _, one := range from {
			table.Append(value(state, one))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, one := range from {
			table.RawSetString(key, value(state, one))
		}
		return table
	}
	return lua.LNil
}
