/*
Copyright 2026 The Dynamic MCP Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tool returns a tool's definition with that schema, or, if it does not begin with a brace, with those properties.
func tool(schema string) []byte {
	if !strings.HasPrefix(schema, "{") {
		schema = `{"type":"object","properties":{` + schema + `}}`
	}
	return []byte(`{"name":"t","inputSchema":` + schema + `,"outputSchema":{"properties":{"x-mcp-header":{"x-mcp-header":""}}}}`)
}

func TestParams(t *testing.T) {
	region := []Param{{"Mcp-Param-Region", []string{"region"}}}
	for name, test := range map[string]struct {
		schema string
		want   []Param
	}{
		"no properties":        {`{"type":"object"}`, nil},
		"no annotations":       {`"a":{"type":"string"},"b":{"items":{"type":"string"}}`, nil},
		"one of two":           {`"region":{"type":"string","description":"d","x-mcp-header":"Region"},"query":{"type":"string"}`, region},
		"canonical name":       {`"region":{"x-mcp-header":"rEGION","type":"string"}`, region},
		"written with escapes": {`"r\u0065gion":{"t\u0079pe":"\u0073tring","\u0078\u002dmcp-header":"R\u0065gion"}`, region},
		"every type, in the schema's order": {`"s":{"type":"string","x-mcp-header":"S"},"i":{"type":"integer","x-mcp-header":"I"},"b":{"type":"boolean","x-mcp-header":"B"}`,
			[]Param{{"Mcp-Param-S", []string{"s"}}, {"Mcp-Param-I", []string{"i"}}, {"Mcp-Param-B", []string{"b"}}}},
		"every character of a token": {`"a":{"type":"string","x-mcp-header":"!#$%&'*+-.^_` + "`" + `|~aZ0"}`,
			[]Param{{"Mcp-Param-!#$%&'*+-.^_`|~az0", []string{"a"}}}},
		"nested": {`"o":{"type":"object","properties":{"p":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}}`,
			[]Param{{"Mcp-Param-Region", []string{"o", "p", "region"}}}},
		"properties that are called like keywords": {`"properties":{"properties":{"items":{"type":"string","x-mcp-header":"Region"}}},"$defs":{"type":"boolean","x-mcp-header":"D"}`,
			[]Param{{"Mcp-Param-Region", []string{"properties", "items"}}, {"Mcp-Param-D", []string{"$defs"}}}},
		"a property that is called like the annotation": {`"x-mcp-header":{"type":"string"}`, nil},
		"and is annotated":                   {`"x-mcp-header":{"type":"string","x-mcp-header":"Region"}`, []Param{{"Mcp-Param-Region", []string{"x-mcp-header"}}}},
		"and is required":                    {`{"required":["x-mcp-header"],"dependentRequired":{"x-mcp-header":["a"]}}`, nil},
		"names of definitions":               {`{"$defs":{"x-mcp-header":{"type":"string"}},"items":{"properties":{"x-mcp-header":{}}}}`, nil},
		"data that looks like an annotation": {`{"default":{"x-mcp-header":1},"examples":[{"x-mcp-header":1}],"properties":{"a":{"const":{"x-mcp-header":1},"enum":[{"x-mcp-header":{}}]}}}`, nil},
		"text that looks like an annotation": {`"a":{"description":"x-mcp-header","title":"\"x-mcp-header\""}`, nil},
		"a reference beside the annotation":  {`"region":{"type":"string","x-mcp-header":"Region","$ref":"#/$defs/a"}`, region},
		"boolean schemas":                    {`"a":true,"region":{"type":"string","x-mcp-header":"Region","not":false}`, region},
		"the same property elsewhere":        {`"a":{"properties":{"region":{}}},"region":{"type":"string","x-mcp-header":"Region"}`, region},
		"duplicates that lead nowhere":       {`"a":{},"a":{"x":1,"x":2},"region":{"type":"string","x-mcp-header":"Region"}`, region},
		"as deep as may be": {strings.Repeat(`"a":{"properties":{`, maxDepth-1) + `"a":{"type":"string","x-mcp-header":"Region"}` + strings.Repeat("}}", maxDepth-1),
			[]Param{{"Mcp-Param-Region", strings.Split(strings.Repeat("a", maxDepth), "")}}},
		"deeper, without annotation": {strings.Repeat(`"a":{"properties":{`, 100) + `"a":{"description":"\u00e9"}` + strings.Repeat("}}", 100), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Params(tool(test.schema))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestParamsRefuses(t *testing.T) {
	const place = "allowed only on properties that a chain of nothing but properties leads to"
	annotated := `{"type":"string","x-mcp-header":"Region"}`
	many := make([]string, maxParams+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":{"type":"string","x-mcp-header":"H%d"}`, i, i)
	}
	for name, test := range map[string]struct{ schema, where, what string }{
		"empty":                 {`"a":{"type":"string","x-mcp-header":""}`, "/properties/a", "not empty"},
		"no string":             {`"a":{"type":"string","x-mcp-header":null}`, "/properties/a", "must be a string"},
		"space":                 {`"a":{"type":"string","x-mcp-header":"My Region"}`, "/properties/a", "characters"},
		"colon":                 {`"a":{"type":"string","x-mcp-header":"Region:Primary"}`, "/properties/a", "characters"},
		"not ASCII":             {`"a":{"type":"string","x-mcp-header":"Région"}`, "/properties/a", "characters"},
		"control character":     {`"a":{"type":"string","x-mcp-header":"Region\t1"}`, "/properties/a", "characters"},
		"line break":            {`"a":{"type":"string","x-mcp-header":"Region\r\nX"}`, "/properties/a", "characters"},
		"too long":              {`"a":{"type":"string","x-mcp-header":"` + strings.Repeat("a", maxName+1) + `"}`, "/properties/a", "more than 256 bytes"},
		"too many":              {strings.Join(many, ","), "/properties/p128", "more than 128 parameters"},
		"number":                {`"a":{"type":"number","x-mcp-header":"A"}`, "/properties/a", "needs type string, integer or boolean"},
		"object":                {`"a":{"type":"object","x-mcp-header":"A"}`, "/properties/a", "needs type"},
		"array":                 {`"a":{"type":"array","items":{"type":"string"},"x-mcp-header":"A"}`, "/properties/a", "needs type"},
		"null":                  {`"a":{"type":"null","x-mcp-header":"A"}`, "/properties/a", "needs type"},
		"no type":               {`"a":{"x-mcp-header":"A"}`, "/properties/a", "needs type"},
		"several types":         {`"a":{"type":["string","null"],"x-mcp-header":"A"}`, "/properties/a", "needs type"},
		"same name":             {`"a":{"type":"string","x-mcp-header":"Region"},"b":{"type":"string","x-mcp-header":"Region"}`, "/properties/b", "another parameter has too"},
		"same name, other case": {`"a":{"type":"string","x-mcp-header":"MyField"},"b":{"properties":{"c":{"type":"string","x-mcp-header":"myfield"}}}`, "/properties/b/properties/c", "another parameter has too"},
		"root":                  {`{"type":"string","x-mcp-header":"A"}`, "inputSchema: ", place},
		"items":                 {`"a":{"type":"array","items":` + annotated + `}`, "/properties/a/items", place},
		"properties of items":   {`"a":{"items":{"properties":{"b":` + annotated + `}}}`, "/properties/a/items/properties/b", place},
		"prefixItems":           {`"a":{"prefixItems":[{},` + annotated + `]}`, "/properties/a/prefixItems/1", place},
		"contains":              {`{"contains":` + annotated + `}`, "/contains", place},
		"oneOf":                 {`{"oneOf":[{"properties":{"a":` + annotated + `}}]}`, "/oneOf/0/properties/a", place},
		"anyOf":                 {`"a":{"anyOf":[` + annotated + `]}`, "/properties/a/anyOf/0", place},
		"allOf":                 {`{"allOf":[{},{"properties":{"a":` + annotated + `}}]}`, "/allOf/1/properties/a", place},
		"not":                   {`{"not":{"properties":{"a":` + annotated + `}}}`, "/not/properties/a", place},
		"if":                    {`{"if":{"properties":{"a":` + annotated + `}}}`, "/if/properties/a", place},
		"then":                  {`{"then":{"properties":{"a":` + annotated + `}}}`, "/then/properties/a", place},
		"else":                  {`{"else":{"properties":{"a":` + annotated + `}}}`, "/else/properties/a", place},
		"$defs":                 {`{"properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":` + annotated + `}}`, "/$defs/b", place},
		"definitions":           {`{"definitions":{"b":` + annotated + `}}`, "/definitions/b", place},
		"patternProperties":     {`{"patternProperties":{"^a/~":` + annotated + `}}`, "/patternProperties/^a~1~0", place},
		"dependentSchemas":      {`{"dependentSchemas":{"a":{"properties":{"b":` + annotated + `}}}}`, "/dependentSchemas/a/properties/b", place},
		"additionalProperties":  {`{"additionalProperties":` + annotated + `}`, "/additionalProperties", place},
		"propertyNames":         {`{"propertyNames":` + annotated + `}`, "/propertyNames", place},
		"unknown keyword":       {`{"x-shared":{"b":` + annotated + `}}`, "/x-shared/b", place},
		"list of properties":    {`{"properties":[` + annotated + `]}`, "/properties/0", place},
		"too deep":              {strings.Repeat(`"a":{"properties":{`, maxDepth) + `"a":` + annotated + strings.Repeat("}}", maxDepth), "/properties/a/", "up to 16 levels deep"},
		"annotation twice":      {`"a":{"type":"string","x-mcp-header":"A","\u0078-mcp-header":"B"}`, "/properties/a", `the key "x-mcp-header" occurs twice`},
		"type twice":            {`"a":{"type":"string","type":"object","x-mcp-header":"A"}`, "/properties/a", `the key "type" occurs twice`},
		"properties twice":      {`{"properties":{"a":` + annotated + `},"properties":{}}`, "inputSchema: ", `the key "properties" occurs twice`},
		"property twice":        {`"a":` + annotated + `,"a":{}`, "/properties/a", "occurs twice"},
		"property twice, later": {`"a":{},"\u0061":{"properties":{"b":` + annotated + `}}`, "/properties/a", "occurs twice"},
		"schema twice":          {`{},"inputSchema":{"x-mcp-header":""}`, "the definition: ", `the key "inputSchema" occurs twice`},
		"long way":              {`"` + strings.Repeat("a", 300) + `":{"x-mcp-header":"A"}`, "…: ", "needs type"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Params(tool(test.schema))
			if err == nil {
				t.Fatalf("got %q", got)
			}
			if text := err.Error(); !strings.Contains(text, test.where) || !strings.Contains(text, test.what) || len(text) > 400 {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestParamsOfWhatIsNoTool(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", `{"inputSchema":null}`, `{"inputSchema":[],"a":"x-mcp-header"}`, `{"a":"x-mcp-header"}`, `{"inputSchema":"x-mcp-header"}`} {
		if got, err := Params([]byte(text)); got != nil || err != nil {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{`["x-mcp-header"]`, `"x-mcp-header"`, `{"inputSchema":{"x-mcp-header"`} {
		if got, err := Params([]byte(text)); got != nil || err == nil {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

func TestToolsWithoutAnnotationsCostNothing(t *testing.T) {
	in := tool(`"a":{"type":"string","description":"x-mcp-headers \u2014 none"}`)
	in = bytes.ReplaceAll(in, []byte(`"x-mcp-header"`), []byte(`"x"`))
	if n := testing.AllocsPerRun(100, func() {
		if params, err := Params(in); params != nil || err != nil {
			t.Errorf("got %v, %v", params, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParams(b *testing.B) {
	without := tool(`"a":{"type":"string","description":"` + strings.Repeat(`lorem ipsum\n`, 300) + `"}`)
	without = bytes.ReplaceAll(without, []byte(`"x-mcp-header"`), []byte(`"x"`))
	for name, in := range map[string][]byte{
		"without":   without,
		"escapes":   bytes.ReplaceAll(without, []byte("lorem"), []byte(`l\u00f6rem`)),
		"annotated": tool(`"region":{"type":"string","x-mcp-header":"Region"},"query":{"type":"string"}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := Params(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// token is what the name of a header field may be.
var token = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// node is a JSON value as encoding/json reads it token by token: with the order of members, and with duplicates.
type node struct {
	keys   []string // Of an object; as many as nodes.
	nodes  []*node
	scalar any // json.Number, string, bool or nil, if it is neither object nor array.
	kind   json.Delim
}

func parse(t *testing.T, b []byte) *node {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var value func() *node
	next := func() json.Token {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("the reference fails on valid JSON: %v", err)
		}
		return token
	}
	value = func() *node {
		first := next()
		delim, ok := first.(json.Delim)
		if !ok {
			return &node{scalar: first}
		}
		n := &node{kind: delim}
		for d.More() {
			if delim == '{' {
				n.keys = append(n.keys, next().(string))
			}
			n.nodes = append(n.nodes, value())
		}
		next()
		return n
	}
	return value()
}

// find returns the values of a key.
func (n *node) find(key string) (found []*node) {
	for i, k := range n.keys {
		if k == key {
			found = append(found, n.nodes[i])
		}
	}
	return found
}

// has says whether there is that string anywhere.
func (n *node) has(text string) bool {
	if n.scalar == text || n.find(text) != nil {
		return true
	}
	for _, child := range n.nodes {
		if child.has(text) {
			return true
		}
	}
	return false
}

func (n *node) depth() (depth int) {
	for _, child := range n.nodes {
		depth = max(depth, child.depth())
	}
	return depth + 1
}

// refParams is Params by the letter of the specification: it lists everything in the schema that is an annotation, with the
// way there, and looks at that. The result has one entry for each header.
func refParams(root *node) (params map[string][]string, ok bool) {
	if !root.has(keyAnnotation) {
		return nil, true
	}
	schemas := root.find("inputSchema")
	if root.kind != '{' || len(schemas) > 1 {
		return nil, false
	}
	if len(schemas) == 0 {
		return nil, true
	}
	params, ok = map[string][]string{}, true
	lower := map[string]bool{}
	var schema func(n *node, path []string, reachable bool)
	schema = func(n *node, path []string, reachable bool) {
		if !n.has(keyAnnotation) {
			return
		}
		for _, key := range []string{keyAnnotation, "type", "properties"} {
			ok = ok && len(n.find(key)) <= 1
		}
		for _, annotation := range n.find(keyAnnotation) {
			name, isText := annotation.scalar.(string)
			types := n.find("type")
			ok = ok && reachable && len(path) > 0 && isText && token.MatchString(name) && len(name) <= maxName && !lower[strings.ToLower(name)] &&
				len(types) == 1 && (types[0].scalar == "string" || types[0].scalar == "integer" || types[0].scalar == "boolean")
			lower[strings.ToLower(name)] = true
			params[name] = path
		}
		for i, child := range n.nodes {
			key := ""
			if n.kind == '{' {
				key = n.keys[i]
			}
			switch {
			case slices.Contains(strings.Fields("x-mcp-header const default enum examples"), key):
			case child.kind == '{' && slices.Contains(strings.Fields("properties patternProperties $defs definitions dependentSchemas dependentRequired dependencies"), key):
				leading := map[string]bool{}
				for j, name := range child.keys {
					before := len(params)
					if key == "properties" && reachable {
						schema(child.nodes[j], append(path[:len(path):len(path)], name), true)
					} else {
						schema(child.nodes[j], nil, false)
					}
					if _, twice := leading[name]; key == "properties" && reachable && twice {
						ok = ok && !leading[name] && len(params) == before
					}
					leading[name] = leading[name] || len(params) > before
				}
			default:
				schema(child, nil, false)
			}
		}
	}
	schema(schemas[0], nil, true)
	return params, ok && len(params) <= maxParams
}

// FuzzParams holds Params against a reference that is built on encoding/json.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		`{"inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"b":{"type":"boolean","x-mcp-header":"B"}}}}`,
		`{"inputSchema":{"properties":{"o":{"type":"object","properties":{"i":{"type":"integer","\u0078-mcp-header":"I"}}}}}}`,
		`{"inputSchema":{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}}`,
		`{"inputSchema":{"oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}],"default":{"x-mcp-header":1}}}`,
		`{"inputSchema":{"properties":{"x-mcp-header":{"type":"string"},"a":{},"a":{"type":"string","x-mcp-header":"A"}}}}`,
		`{"inputSchema":{"$defs":{"x-mcp-header":{"enum":["x-mcp-header"]}}},"inputSchema":1}`,
		`{"inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A b"},"c":{"type":["string"],"x-mcp-header":"a"}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Params(in)
		if json.Valid(in) { // Else it must not panic; more is not promised.
			compareParams(t, in, got, err)
		}
	})
}

// compareParams holds what Params returned against the reference.
func compareParams(t *testing.T, in []byte, got []Param, err error) {
	t.Helper()
	root := parse(t, in)
	if root.depth() > maxDepth {
		return
	}
	want, ok := refParams(root)
	if ok != (err == nil) {
		t.Fatalf("got error %v, the reference accepts: %v: %s", err, ok, in)
	}
	if err != nil {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q: %s", got, want, in)
	}
	for name, path := range want {
		if !slices.ContainsFunc(got, func(p Param) bool {
			return strings.EqualFold(p.Header, HeaderParamPrefix+name) && slices.Equal(p.Path, path)
		}) {
			t.Fatalf("got %q, want %q: %s", got, want, in)
		}
	}
}

// TestParamsOfRandomSchemas finds what fuzzing does not, because bytes that it changes are seldom a schema still.
func TestParamsOfRandomSchemas(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var schema func(depth int) string
	properties := func(depth int) string {
		var members []string
		for i := range random.IntN(4) {
			name := pick("a", "b", "properties", "x-mcp-header", "items", "default")
			if random.IntN(20) > 0 {
				name += strconv.Itoa(i) // Mostly no duplicates.
			}
			members = append(members, `"`+name+`":`+schema(depth-1))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	schema = func(depth int) string {
		var members []string
		switch random.IntN(12) {
		case 0, 1, 2, 3:
			name := pick("A", "B", "C", "D", "E", "F") + strconv.Itoa(random.IntN(40))
			members = append(members, `"type":`+pick(`"string"`, `"integer"`, `"boolean"`, `"str\u0069ng"`),
				pick(`"x-mcp-header":`, `"x-mcp-h\u0065ader":`)+`"`+name+`"`)
		case 4:
			members = append(members, `"type":`+pick(`"string"`, `"object"`, `"number"`, `["string"]`), `"x-mcp-header":`+pick(`"a"`, `"a b"`, `7`))
		}
		if depth > 0 && random.IntN(2) == 0 {
			members = append(members, `"properties":`+properties(depth))
		}
		if depth > 0 && random.IntN(12) == 0 {
			members = append(members, pick(`"items":`, `"not":`, `"default":`, `"const":`, `"x-y":`)+schema(depth-1))
		}
		if depth > 0 && random.IntN(12) == 0 {
			members = append(members, pick(`"$defs":`, `"patternProperties":`, `"dependentRequired":`, `"x-y":`)+properties(depth))
		}
		if depth > 0 && random.IntN(12) == 0 {
			members = append(members, pick(`"oneOf":`, `"enum":`, `"examples":`, `"properties":`)+"["+schema(depth-1)+","+schema(depth-1)+"]")
		}
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		return "{" + strings.Join(members, ",") + "}"
	}
	accepted, mirrored := 0, 0
	for range 5000 {
		in := []byte(`{"inputSchema":{"properties":` + properties(3) + `}}`)
		got, err := Params(in)
		compareParams(t, in, got, err)
		if err == nil {
			accepted++
			mirrored += len(got)
		}
	}
	if accepted < 1000 || mirrored < 1000 {
		t.Errorf("the schemas prove little: %d of 5000 accepted, with %d parameters", accepted, mirrored)
	}
}
