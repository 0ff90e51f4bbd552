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

package federation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// listingOf is the listing of a target that has tools of these names.
func listingOf(t testing.TB, target string, names ...string) Listing {
	t.Helper()
	var entries []string
	for _, name := range names {
		entries = append(entries, fmt.Sprintf(`{"zz":1,"name":"%s", "a":9007199254740993}`, name))
	}
	items, _, err := ParsePage(Tools, []byte(`{"tools":[`+strings.Join(entries, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	return Listing{Target: config.TargetName(target), Items: items}
}

func held(l Listing) Listing {
	l.Held = true
	return l
}

func shown(c *Catalogue) []string {
	var names []string
	for _, entry := range c.Shown {
		names = append(names, fmt.Sprintf("%s=%s/%s", entry.Name, entry.Target, entry.Own))
	}
	return names
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 126)
	tests := map[string]struct {
		mode     config.PrefixMode
		listings []Listing
		cooling  map[string]string // The target that may have the name all the same.
		want     []string
		hidden   int
		finds    map[string]string
	}{
		"different names stay": {
			config.PrefixOnConflict, []Listing{listingOf(t, "a", "one"), listingOf(t, "b", "two")}, nil,
			[]string{"one=a/one", "two=b/two"}, 0, map[string]string{"a_one": "a/one", "b_two": "b/two", "b_one": ""},
		},
		"the elder keeps its name": {
			config.PrefixOnConflict, []Listing{listingOf(t, "a", "echo"), listingOf(t, "b", "echo")}, nil,
			[]string{"echo=a/echo", "b_echo=b/echo"}, 0, map[string]string{"echo": "a/echo", "a_echo": "a/echo", "b_echo": "b/echo"},
		},
		"Never hides the younger's duplicate, and it can be called all the same": {
			config.PrefixNever, []Listing{listingOf(t, "a", "echo"), listingOf(t, "b", "echo", "two")}, nil,
			[]string{"echo=a/echo", "two=b/two"}, 1, map[string]string{"b_echo": "b/echo"},
		},
		"Always qualifies everything, and no bare name is known": {
			config.PrefixAlways, []Listing{listingOf(t, "a", "echo")}, nil,
			[]string{"a_echo=a/echo"}, 0, map[string]string{"echo": "", "a_echo": "a/echo"},
		},
		"a qualified name beats an equal bare one": {
			config.PrefixOnConflict, []Listing{listingOf(t, "x", "b_echo"), listingOf(t, "b", "echo")}, nil,
			[]string{"x_b_echo=x/b_echo", "echo=b/echo"}, 0, map[string]string{"b_echo": "b/echo", "x_b_echo": "x/b_echo"},
		},
		"a target that is down keeps its names": {
			config.PrefixOnConflict, []Listing{held(listingOf(t, "a", "echo")), listingOf(t, "b", "echo")}, nil,
			[]string{"b_echo=b/echo"}, 0, map[string]string{"echo": "a/echo"},
		},
		"a name that cools down is nobody's": {
			config.PrefixOnConflict, []Listing{listingOf(t, "b", "echo", "two"), listingOf(t, "c", "echo")}, map[string]string{"echo": ""},
			[]string{"b_echo=b/echo", "two=b/two", "c_echo=c/echo"}, 0, map[string]string{"echo": "", "c_echo": "c/echo"},
		},
		"a name that cools down is its owner's who is back": {
			config.PrefixOnConflict, []Listing{listingOf(t, "b", "echo"), listingOf(t, "c", "echo")}, map[string]string{"echo": "c"},
			[]string{"b_echo=b/echo", "echo=c/echo"}, 0, nil,
		},
		"a qualified name that is too long is hidden": {
			config.PrefixOnConflict, []Listing{listingOf(t, "a", long), listingOf(t, "bb", long)}, nil,
			[]string{long + "=a/" + long}, 1, nil,
		},
		"a server that lists a name twice has it once": {
			config.PrefixOnConflict, []Listing{listingOf(t, "a", "echo", "echo")}, nil,
			[]string{"echo=a/echo"}, 1, nil,
		},
		"nothing": {config.PrefixOnConflict, nil, nil, nil, 0, map[string]string{"echo": ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := Merge(Tools, test.mode, test.listings, func(name string, target config.TargetName) bool {
				may, cools := test.cooling[name]
				return cools && may != string(target)
			})
			if diff := cmp.Diff(test.want, shown(c)); diff != "" {
				t.Error(diff)
			}
			if len(c.Hidden) != test.hidden {
				t.Errorf("hidden: %v", c.Hidden)
			}
			for name, want := range test.finds {
				entry, ok := c.Find(name)
				if got := fmt.Sprintf("%s/%s", entry.Target, entry.Own); ok != (want != "") || (ok && got != want) {
					t.Errorf("%s: found %s, want %q", name, got, want)
				}
			}
		})
	}
	t.Run("a name that cools down has its alternatives", func(t *testing.T) {
		c := Merge(Tools, config.PrefixOnConflict, []Listing{listingOf(t, "b", "echo"), listingOf(t, "c", "echo")},
			func(string, config.TargetName) bool { return true })
		if diff := cmp.Diff([]string{"b_echo", "c_echo"}, c.Cooling("echo")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAddingATargetNeverChangesWhatTheOthersHave is the promise that users build on.
func TestAddingATargetNeverChangesWhatTheOthersHave(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"echo", "add", "a_echo", "b_echo", "c_add", "b_a_echo", "x"}
	pick := func(target string) Listing {
		var own []string
		for _, name := range names {
			if random.IntN(2) == 0 {
				own = append(own, name)
			}
		}
		return listingOf(t, target, own...)
	}
	for range 2000 {
		before := []Listing{pick("a"), pick("b")}
		after := []Listing{before[0], before[1], pick("c")}
		for _, mode := range []config.PrefixMode{config.PrefixOnConflict, config.PrefixAlways, config.PrefixNever} {
			old, now := Merge(Tools, mode, before, nil), Merge(Tools, mode, after, nil)
			seen := map[string]bool{}
			for _, entry := range now.Shown {
				if seen[entry.Name] {
					t.Fatalf("%s is shown twice", entry.Name)
				}
				seen[entry.Name] = true
				if found, ok := now.Find(entry.Name); !ok || found.Target != entry.Target || found.Own != entry.Own {
					t.Fatalf("%s is shown for %s/%s and found as %s/%s", entry.Name, entry.Target, entry.Own, found.Target, found.Own)
				}
			}
			for _, entry := range old.Shown {
				found, ok := now.Find(entry.Name)
				if ok && found.Target == entry.Target && found.Own == entry.Own {
					continue
				}
				// The one exception: the newcomer's qualified name is the same, and qualified names win.
				if ok && Tools.Qualified(found.Target, found.Own) == entry.Name {
					continue
				}
				t.Fatalf("%s of %s was renamed", entry.Name, entry.Target)
			}
		}
	}
}

func TestPages(t *testing.T) {
	a, b := listingOf(t, "a", "one", "echo"), listingOf(t, "b", "echo")
	c := Merge(Tools, config.PrefixOnConflict, []Listing{a, b}, nil)
	cursor := func(next int) string { return fmt.Sprint("next-", next) }
	whole, next := c.AppendPage(nil, 0, 1000, cursor)
	want := `{"tools":[{"zz":1,"name":"one", "a":9007199254740993},{"zz":1,"name":"echo", "a":9007199254740993},{"zz":1,"name":"b_echo", "a":9007199254740993}]}`
	if string(whole) != want || next != 3 {
		t.Errorf("got  %s\nwant %s", whole, want)
	}
	var pages []string
	for from := 0; from < len(c.Shown); {
		var page []byte
		page, from = c.AppendPage(nil, from, 1, cursor)
		pages = append(pages, string(page))
	}
	if len(pages) != 3 || !strings.HasSuffix(pages[0], `,"nextCursor":"next-1"}`) || strings.Contains(pages[2], "nextCursor") {
		t.Errorf("got %q", pages)
	}
	if empty, _ := Merge(Prompts, config.PrefixOnConflict, nil, nil).AppendPage(nil, 0, 10, cursor); string(empty) != `{"prompts":[]}` {
		t.Errorf("got %s", empty)
	}
	if c.Fingerprint() == Merge(Tools, config.PrefixAlways, []Listing{a, b}, nil).Fingerprint() {
		t.Error("other names have the same fingerprint")
	}
}

func TestParsePage(t *testing.T) {
	items, cursor, err := ParsePage(Resources, []byte(`{"nextCursor":"n","resources":[{"uri":"a:\u0062"},{"name":"no uri"},{"uri":1},7]}`))
	if err != nil || len(items) != 1 || items[0].Name != "a:b" || string(cursor) != `"n"` {
		t.Errorf("got %v %s %v", items, cursor, err)
	}
	if _, cursor, err := ParsePage(Tools, []byte(`{"tools":[],"nextCursor":null}`)); err != nil || cursor != nil {
		t.Errorf("got %s %v", cursor, err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"tools":{}}`, `{"tools":[],"tools":[]}`, `{"tools":[`} {
		if _, _, err := ParsePage(Tools, []byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestResources(t *testing.T) {
	listing := func(kind Kind, target, member, key string, uris ...string) Listing {
		var entries []string
		for _, uri := range uris {
			entries = append(entries, fmt.Sprintf(`{"%s":"%s"}`, key, uri))
		}
		items, _, err := ParsePage(kind, []byte(fmt.Sprintf(`{"%s":[%s]}`, member, strings.Join(entries, ","))))
		if err != nil {
			t.Fatal(err)
		}
		return Listing{Target: config.TargetName(target), Items: items}
	}
	resources := Merge(Resources, config.PrefixOnConflict, []Listing{
		listing(Resources, "a", "resources", "uri", "demo://x"), listing(Resources, "b", "resources", "uri", "demo://x"),
	}, nil)
	if diff := cmp.Diff([]string{"demo://x=a/demo://x", "b+demo://x=b/demo://x"}, shown(resources)); diff != "" {
		t.Error(diff)
	}
	if got := resources.NameFor("b", "demo://x"); got != "b+demo://x" {
		t.Errorf("got %s", got)
	}
	if got := resources.NameFor("a", "demo://x"); got != "demo://x" {
		t.Errorf("got %s", got)
	}
	if got := resources.NameFor("a", "demo://unlisted"); got != "demo://unlisted" {
		t.Errorf("got %s", got)
	}
	templates := Merge(Templates, config.PrefixOnConflict, []Listing{
		listing(Templates, "a", "resourceTemplates", "uriTemplate", "demo://{id}", "demo://text/{id}"),
		listing(Templates, "b", "resourceTemplates", "uriTemplate", "demo://text/{id}", "file:///{+path}"),
	}, nil)
	for uri, want := range map[string]string{
		"demo://7":           "a/demo://7",
		"demo://text/7":      "a/demo://text/7",
		"b+demo://text/7":    "b/demo://text/7",
		"file:///etc/motd":   "b/file:///etc/motd",
		"b+file:///etc/motd": "b/file:///etc/motd",
		"other://x":          "",
	} {
		entry, ok := templates.FindURI(uri)
		if got := fmt.Sprintf("%s/%s", entry.Target, entry.Own); ok != (want != "") || (ok && got != want) {
			t.Errorf("%s: got %s, want %s", uri, got, want)
		}
	}
}

func FuzzParsePage(f *testing.F) {
	f.Add([]byte(`{"tools":[{"name":"a"},{"name":"a"}],"nextCursor":"x"}`))
	f.Fuzz(func(t *testing.T, result []byte) {
		items, _, err := ParsePage(Tools, result)
		if err != nil {
			return
		}
		c := Merge(Tools, config.PrefixAlways, []Listing{{Target: "t", Items: items}}, nil)
		page, _ := c.AppendPage(nil, 0, 1<<20, func(int) string { return "" })
		again, _, err := ParsePage(Tools, page)
		if err != nil || len(again) != len(c.Shown) && len(c.Shown) > 0 && len(page) < 1<<20 {
			t.Fatalf("what was written can't be read: %v\n%s", err, page)
		}
	})
}
